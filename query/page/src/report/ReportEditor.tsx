// The editor of a report: Markdown on one side, a preview on the other.
import type { RefObject } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { call } from "../api/client";
import { useQuery } from "../api/useQuery";
import { formatAgo } from "../lib/format";
import { isSystem } from "../lib/panels";
import { ProjectFrame } from "../project/ProjectFrame";
import { savedPath } from "../saved/savedItems";
import { path } from "../state/route";
import { liveBlock } from "./LiveBlock";
import { Markdown } from "./Markdown";
import { type EditorProps, type ReportDraft, useReportDraft } from "./useReportDraft";

const SETTLE_MS = 300;
const MAX_CHARACTERS = 250_000;

export function ReportEditor(props: EditorProps) {
  const { team, project } = props;
  const draft = useReportDraft(props);
  const { saved, content } = draft;
  const [tab, setTab] = useState<"write" | "preview">("write");
  const textArea = useRef<HTMLTextAreaElement>(null);
  const previewText = useSettled(content);
  const block = useMemo(() => liveBlock({ team, project }), [team, project]);
  const metric = useFirstMetric(team, project);
  const insert = (text: string) => insertBlock(textArea, content, text, draft.setContent);
  return (
    <ProjectFrame team={team} project={project} tab="Reports">
      <form
        class="editor"
        onSubmit={(event) => {
          event.preventDefault();
          void draft.save();
        }}
        onKeyDown={(event) => saveOnShortcut(event, () => void draft.save())}
      >
        <EditorHead draft={draft} reportsUrl={path(team, project, "reports")} />
        <div class="editor-tools">
          <span class="narrow-tabs" role="tablist" aria-label="Text or preview">
            {(["write", "preview"] as const).map((item) => (
              <button
                key={item}
                type="button"
                role="tab"
                class="toggle"
                aria-selected={tab === item}
                onClick={() => setTab(item)}
              >
                {item === "write" ? "Write" : "Preview"}
              </button>
            ))}
          </span>
          <button type="button" class="button plain" onClick={() => insert(panelBlockFor(metric))}>
            Insert a panel
          </button>
          <button type="button" class="button plain" onClick={() => insert(RUNS_BLOCK)}>
            Insert runs
          </button>
          {!saved && (
            <label class="check">
              <input
                type="checkbox"
                checked={draft.shared}
                onChange={(event) => draft.setShared(event.currentTarget.checked)}
              />{" "}
              Share it with the team
            </label>
          )}
        </div>
        <EditorNotes draft={draft} />
        <div class={`editor-sides ${tab}`}>
          <textarea
            ref={textArea}
            class="text-area"
            aria-label="Text of the report, in Markdown"
            placeholder={PLACEHOLDER}
            maxLength={MAX_CHARACTERS}
            spellcheck
            value={content}
            onInput={(event) => draft.setContent(event.currentTarget.value)}
          />
          <section class="report preview" aria-label="Preview" tabIndex={0}>
            {previewText.trim() ? (
              <Markdown text={previewText} block={block} />
            ) : (
              <p class="quiet">What you write appears here.</p>
            )}
          </section>
        </div>
      </form>
    </ProjectFrame>
  );
}

function EditorHead({ draft, reportsUrl }: { draft: ReportDraft; reportsUrl: string }) {
  const { saved, dirty, busy } = draft;
  return (
    <div class="editor-head">
      <input
        class="text-input report-name"
        aria-label="Name of the report"
        placeholder="Name of the report"
        maxLength={128}
        required
        value={draft.name}
        onInput={(event) => draft.setName(event.currentTarget.value)}
      />
      <button class="button primary" disabled={busy || (!dirty && saved !== null)}>
        {busy ? "Saving" : dirty || !saved ? "Save" : "Saved"}
      </button>
      <a class="button" href={saved ? savedPath(saved) : reportsUrl}>
        {dirty ? "Leave" : "Done"}
      </a>
    </div>
  );
}

function EditorNotes({ draft }: { draft: ReportDraft }) {
  const { recovered, conflict, saved } = draft;
  return (
    <>
      {recovered && (
        <p class="editor-note" role="status">
          This is your text of {formatAgo(new Date(recovered.savedAt).toISOString())}, which was not saved.{" "}
          <button type="button" class="link" onClick={draft.discardDraft}>
            Discard it
          </button>
        </p>
      )}
      {conflict && (
        <div class="editor-note bad" role="alert">
          <p>{conflict.charAt(0).toUpperCase() + conflict.slice(1)}.</p>
          <p class="row">
            <a class="button" href={savedPath(saved!)} target="_blank" rel="noopener">
              See the other version
            </a>
            <button type="button" class="button" onClick={() => void draft.save("copy")}>
              Save mine as a copy
            </button>
            <button type="button" class="button" onClick={() => void draft.loadTheirVersion()}>
              Discard mine, use the other
            </button>
            <button type="button" class="button danger" onClick={() => void draft.save("overwrite")}>
              Overwrite the other version
            </button>
          </p>
        </div>
      )}
    </>
  );
}

const PLACEHOLDER =
  "## What was tried\n\nText in Markdown. A block that begins with ```panel shows charts. " +
  "A block that begins with ```runs shows a table of runs.";
const RUNS_BLOCK = "```runs\nsort: -created_at\nlimit: 5\ncolumns: created_at, duration, tags\n```\n";

function panelBlockFor(metric: string): string {
  return `\`\`\`panel\nmetrics: ${metric}\nlimit: 10\nsmoothing: 0.5\n\`\`\`\n`;
}

/** Insert a block at the cursor, with an empty line before it. */
function insertBlock(
  textArea: RefObject<HTMLTextAreaElement | null>,
  content: string,
  text: string,
  setContent: (content: string) => void,
): void {
  const box = textArea.current!;
  const cursor = box.selectionEnd;
  const before = content.slice(0, cursor);
  const gap = before === "" || before.endsWith("\n\n") ? "" : before.endsWith("\n") ? "\n" : "\n\n";
  setContent(`${before}${gap}${text}${content.slice(cursor)}`);
  requestAnimationFrame(() => {
    box.focus();
    box.setSelectionRange(cursor + gap.length + text.length, cursor + gap.length + text.length);
  });
}

function saveOnShortcut(event: KeyboardEvent, save: () => void): void {
  if (event.key !== "s" || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  save();
}

/** Return the value, delayed until it has not changed for a moment. */
function useSettled(value: string): string {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), SETTLE_MS);
    return () => clearTimeout(timer);
  }, [value]);
  return settled;
}

/** Return a metric of the project, so that the inserted block shows something. */
function useFirstMetric(team: string, project: string): string {
  const { data } = useQuery(`first metric ${team}/${project}`, (signal) =>
    call("ListMetrics", { team, project, page_size: 200 }, signal),
  );
  const names = data?.metrics.map((item) => item.name).filter((name) => !isSystem(name)) ?? [];
  return names.find((name) => /loss/i.test(name)) ?? names[0] ?? "loss";
}
