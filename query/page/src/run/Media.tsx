// Images, sound, video and HTML by key, at one step.
import { call } from "../api/client";
import type { MediaItem } from "../api/contract";
import { useQuery } from "../api/useQuery";
import { formatBytes } from "../lib/format";
import { route, setQuery } from "../state/route";
import { EmptyState, ErrorMessage, Loading } from "../ui/feedback";
import { Icon } from "../ui/Icon";
import { StepSlider } from "../ui/StepSlider";
import type { RunProps } from "./tabProps";
import "../styles/rich.css";

const MAX_ITEMS = 500;

export default function Media({ run }: RunProps) {
  const index = route.value.query.get("at");
  const request = {
    team: run.team,
    project: run.project,
    run: run.id,
    page_size: MAX_ITEMS,
    at_step: index ?? String(Number.MAX_SAFE_INTEGER),
  };
  const { data, error, refresh } = useQuery(
    `media ${JSON.stringify(request)}`,
    (signal) => call("ListMedia", request, signal),
    run.state === "RUN_STATE_RUNNING" ? 3000 : 0,
    true,
  );
  if (error && !data) return <ErrorMessage error={error} retry={refresh} />;
  if (!data) return <Loading />;
  if (!data.items.length) {
    return (
      <EmptyState title="No media">
        <p>
          Log media:{" "}
          <code>
            run.log({"{"}"sample": runstream.Image(array){"}"})
          </code>
          .
        </p>
      </EmptyState>
    );
  }
  const keys = [...new Set(data.items.map((item) => item.key))];
  return (
    <div class="rich">
      <div class="table-tools">
        <StepSlider
          steps={data.steps.map(Number)}
          value={index === null ? null : Number(index)}
          set={(step) => setQuery({ at: step })}
        />
      </div>
      {keys.map((key) => (
        <section class="info wide" key={key} aria-label={key}>
          <header>
            <h2>{key}</h2>
          </header>
          <div class="media">
            {data.items
              .filter((item) => item.key === key)
              .map((item) => (
                <MediaFigure key={`${item.step} ${item.rank} ${item.index}`} item={item} ranked={run.world_size > 1} />
              ))}
          </div>
        </section>
      ))}
    </div>
  );
}

function MediaFigure({ item, ranked }: { item: MediaItem; ranked: boolean }) {
  const kind = item.media_type.split("/")[0];
  const source = `/${item.path.replace(/^\/+/, "")}`;
  const title = item.caption || `${item.key}, step ${item.step}`;
  return (
    <figure class={item.media_type === "text/html" ? "document" : ""}>
      {kind === "image" && !item.media_type.includes("svg") ? (
        <a href={source} target="_blank" rel="noopener">
          <img src={source} alt={title} loading="lazy" />
        </a>
      ) : item.media_type === "text/html" ? (
        // The frame has no scripts, an origin of its own, and loads nothing from elsewhere. The policy of the response
        // says so, too.
        <iframe sandbox="" src={`${source}&view=html`} title={title} loading="lazy" />
      ) : kind === "audio" ? (
        <audio controls preload="none" src={source} />
      ) : kind === "video" ? (
        <video controls preload="metadata" src={source} />
      ) : (
        <a class="button" href={source} download>
          <Icon name="download" size={14} /> {item.media_type || "file"}
        </a>
      )}
      <figcaption class="quiet">
        {item.caption && <span class="caption">{item.caption}</span>}
        <span class="numeric">
          step {item.step}
          {ranked && `, rank ${item.rank}`} · {formatBytes(Number(item.size_bytes))}
        </span>
      </figcaption>
    </figure>
  );
}
