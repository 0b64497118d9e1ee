// Line icons of 16 x 16 pixels. They are part of the code: nothing is fetched.
const PATHS = {
  stream: "M2 4.5c3 0 3 7 6 7s3-4.5 6-4.5M2 8.5c2 0 3.5 5 6 5s4-2.5 6-2.5",
  sun:
    "M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6ZM8 1.5v1.5M8 13v1.5M1.5 8H3M13 8h1.5" +
    "M3.4 3.4l1 1M11.6 11.6l1 1M3.4 12.6l1-1M11.6 4.4l1-1",
  moon: "M13.5 9.5A5.8 5.8 0 0 1 6.5 2.5a5.8 5.8 0 1 0 7 7Z",
  keyboard: "M1.5 4.5h13v7h-13zM4 7h.01M6.7 7h.01M9.3 7h.01M12 7h.01M5 9.5h6",
  eye: "M1.5 8S4 3.5 8 3.5 14.5 8 14.5 8 12 12.5 8 12.5 1.5 8 1.5 8ZM8 9.7a1.7 1.7 0 1 0 0-3.4 1.7 1.7 0 0 0 0 3.4Z",
  closed: "M2 6.5c1.6 2 3.6 3 6 3s4.400-1 6-3M3.200 8.300 2 10M8 9.500v2.200M12.800 8.300 14 10",
  search: "M7 11.500a4.500 4.500 0 1 0 0-9 4.500 4.500 0 0 0 0 9ZM10.500 10.500 14 14",
  pin: "M9.500 2 14 6.500l-2.200.6-2.500 2.500-.3 2.700L4 7.300l2.700-.3 2.500-2.500.3-2.500ZM6.200 9.800 2.500 13.500",
  more: "M8 3.500h.01M8 8h.01M8 12.500h.01",
  full: "M2.500 6V2.500H6M10 2.500h3.500V6M13.500 10v3.500H10M6 13.500H2.500V10",
  close: "M3.500 3.500l9 9M12.500 3.500l-9 9",
  down: "M4 6l4 4 4-4",
  right: "M6 4l4 4-4 4",
  check: "M3 8.500l3.200 3L13 4.500",
  copy: "M5.500 5.500h8v8h-8zM10.500 5.500v-3h-8v8h3",
  columns: "M2.500 3h11v10h-11zM6.200 3v10M9.800 3v10",
  trash: "M3 4.500h10M6 4.500V3h4v1.500M4.500 4.500l.6 8.500h5.800l.6-8.500",
  chart: "M2.500 2.500v11h11M4.500 10l2.700-3 2.300 1.700 3.500-4.700",
  table: "M2.500 3h11v10h-11zM2.500 6.500h11M2.500 9.700h11M6.500 6.500V13",
  list: "M5.500 4h8M5.500 8h8M5.500 12h8M2.500 4h.01M2.500 8h.01M2.500 12h.01",
  link:
    "M6.700 9.300a2.600 2.600 0 0 0 3.700 0l2.300-2.300a2.600 2.600 0 0 0-3.700-3.700l-.9.9" +
    "M9.300 6.700a2.600 2.600 0 0 0-3.700 0L3.300 9a2.600 2.600 0 0 0 3.700 3.700l.9-.9",
  up: "M4 10l4-4 4 4",
  bookmark: "M4 2.500h8v11l-4-3-4 3z",
  report: "M3.500 2h6l3 3v9h-9zM9.500 2v3h3M5.500 8h5M5.500 10.800h5",
  tag: "M2.500 2.500h5l6 6-5 5-6-6zM5.500 5.500h.01",
  edit: "M10.500 3l2.500 2.500-7.500 7.500H3v-2.500z",
  download: "M8 2.500v7.500M4.800 7 8 10.200 11.200 7M2.500 13.500h11",
  lines: "M2.500 2.500v11M8 2.500v11M13.500 2.500v11M2.500 5 8 10l5.500-6M2.500 11 8 5.500l5.500 5",
  sweep: "M2.500 13.500h11M4 11h.01M6.500 8.500h.01M6 4.500h.01M9 10h.01M10 6h.01M12.500 8.500h.01M12.300 3.500h.01",
  sliders: "M2.500 4.500h6M11.500 4.500h2M2.500 11.500h2M7.500 11.500h6M10 3v3M6 10v3",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 16 }: { name: IconName; size?: number }) {
  const thick = name === "more" || name === "list" || name === "sweep" || name === "keyboard";
  return (
    <svg
      class="icon"
      width={size}
      height={size}
      viewBox="0 0 16 16"
      aria-hidden="true"
      fill="none"
      stroke="currentColor"
      stroke-width={thick ? 1.7 : 1.4}
      stroke-linecap="round"
      stroke-linejoin="round"
    >
      <path d={PATHS[name]} />
    </svg>
  );
}
