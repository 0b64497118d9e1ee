// The search over the names of a project's runs; its text is in the URL.
import { setQuery } from "../state/route";
import { Icon } from "../ui/Icon";

export function RunSearch({ value, id }: { value: string; id?: string }) {
  return (
    <div class="field">
      <Icon name="search" size={14} />
      <input
        id={id}
        type="search"
        placeholder="Search runs"
        aria-label="Search runs"
        value={value}
        onInput={(event) => setQuery({ find: event.currentTarget.value })}
      />
    </div>
  );
}
