// Writing a report: Markdown on one side, what it becomes on the other. Saved when asked; of two writers the second is told.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { ApiError, call } from "../api/client";
import type { Saved } from "../api/contract";
import { useQuery } from "../api/useQuery";
import { formatAgo } from "../lib/format";
import { isSystem } from "../lib/panels";
import { ProjectFrame } from "../project/ProjectFrame";
import { newId, savedKey, savedPath } from "../saved/savedItems";
import { navigate, path } from "../state/route";
import { toast, withErrorToast } from "../ui/toasts";
import { type Draft, keepDraft, readDraft } from "./draft";
import { liveBlock } from "./LiveBlock";
import { Markdown } from "./Markdown";

export interface EditorProps {
  team: string;
  project: string;
  /** Null: a new one. */
  report: Saved | null;
}

const SETTLE_MS = 300;
const MAX_CHARACTERS = 250_000;

export function ReportEditor({ team, project, report }: EditorProps) {
  const key = `${team}/${project}/${report?.id ?? "new"}`;
  const [saved, setSaved] = useState(report);
  const [draft] = useState(() => readDraft(key));
  const [recovered, setRecovered] = useState<Draft | null>(
    draft && (draft.content !== report?.content || draft.name !== report?.name) ? draft : null,
  );
  const [name, setName] = useState(draft?.name ?? report?.name ?? "");
  const [content, setContent] = useState(draft?.content ?? report?.content ?? "");
  const [shared, setShared] = useState(report?.shared ?? true);
  const [version, setVersion] = useState(draft && draft.version !== "0" ? draft.version : (report?.version ?? "0"));
  const [conflict, setConflict] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const [tab, setTab] = useState<"write" | "preview">("write");
  const [id] = useState(newId);
  const textArea = useRef<HTMLTextAreaElement>(null);
  const dirty = name !== (saved?.name ?? "") || content !== (saved?.content ?? "");
  const previewText = useSettled(content);
  const block = useMemo(() => liveBlock({ team, project }), [team, project]);
  const metric = useFirstMetric(team, project);

  useEffect(() => {
    keepDraft(key, dirty ? { name, content, version, savedAt: Date.now() } : null);
    if (!dirty) return;
    const warn = (event: BeforeUnloadEvent) => event.preventDefault();
    addEventListener("beforeunload", warn);
    return () => removeEventListener("beforeunload", warn);
  }, [key, dirty, name, content, version]);

  const acceptSaved = (found: Saved) => {
    setSaved(found);
    setVersion(found.version);
    setConflict(null);
    setRecovered(null);
  };
  const save = async (how: "version" | "overwrite" | "copy" = "version") => {
    if (!name.trim()) return toast("Give the report a name first");
    if (busy) return;
    setBusy(true);
    try {
      if (!saved || how === "copy") {
        const made = await call("CreateSaved", {
          team,
          project,
          kind: "SAVED_KIND_REPORT",
          name: how === "copy" ? `${name} (copy)`.slice(0, 128) : name,
          content,
          shared,
          id: how === "copy" ? newId() : id,
        });
        keepDraft(key, null);
        acceptSaved(made);
        setName(made.name);
        navigate(savedPath(made, "edit"), true);
      } else {
        acceptSaved(
          await call("UpdateSaved", {
            ...savedKey(saved),
            name,
            content,
            ...(how === "overwrite" ? { overwrite: true } : { version }),
          }),
        );
      }
      toast("Saved");
    } catch (error) {
      if (error instanceof ApiError && error.code === "FAILED_PRECONDITION") setConflict(error.message);
      else toast(`Not saved: ${(error as Error).message}`, { forMs: 7000 });
    } finally {
      setBusy(false);
    }
  };
  const insert = (text: string) => {
    const box = textArea.current!;
    const cursor = box.selectionEnd;
    const before = content.slice(0, cursor);
    const gap = before === "" || before.endsWith("\n\n") ? "" : before.endsWith("\n") ? "\n" : "\n\n";
    setContent(`${before}${gap}${text}${content.slice(cursor)}`);
    requestAnimationFrame(() => {
      box.focus();
      box.setSelectionRange(cursor + gap.length + text.length, cursor + gap.length + text.length);
    });
  };
  const discardDraft = () => {
    setName(saved?.name ?? "");
    setContent(saved?.content ?? "");
    setVersion(saved?.version ?? "0");
    setRecovered(null);
  };
  const loadTheirVersion = () =>
    withErrorToast(async () => {
      const found = await call("GetSaved", savedKey(saved!));
      acceptSaved(found);
      setName(found.name);
      setContent(found.content);
    });

  return (
    <ProjectFrame team={team} project={project} tab="Reports">
      <form
        class="editor"
        onSubmit={(event) => {
          event.preventDefault();
          void save();
        }}
        onKeyDown={(event) => saveKey(event, () => void save())}
      >
        <div class="editor-head">
          <input
            class="text-input report-name"
            aria-label="Name of the report"
            placeholder="Name of the report"
            maxLength={128}
            required
            value={name}
            onInput={(event) => setName(event.currentTarget.value)}
          />
          <button class="button primary" disabled={busy || (!dirty && saved !== null)}>
            {busy ? "Saving" : dirty || !saved ? "Save" : "Saved"}
          </button>
          <a class="button" href={saved ? savedPath(saved) : path(team, project, "reports")}>
            {dirty ? "Leave" : "Done"}
          </a>
        </div>
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
              <input type="checkbox" checked={shared} onChange={(event) => setShared(event.currentTarget.checked)} />{" "}
              Share it with the team
            </label>
          )}
        </div>
        {recovered && (
          <p class="editor-note" role="status">
            This is your text of {formatAgo(new Date(recovered.savedAt).toISOString())}, which was not saved.{" "}
            <button type="button" class="link" onClick={discardDraft}>
              Drop it
            </button>
          </p>
        )}
        {conflict && (
          <div class="editor-note bad" role="alert">
            <p>{conflict.charAt(0).toUpperCase() + conflict.slice(1)}.</p>
            <p class="row">
              <a class="button" href={savedPath(saved!)} target="_blank" rel="noopener">
                See theirs
              </a>
              <button type="button" class="button" onClick={() => void save("copy")}>
                Save mine as a copy
              </button>
              <button type="button" class="button" onClick={() => void loadTheirVersion()}>
                Drop mine, take theirs
              </button>
              <button type="button" class="button danger" onClick={() => void save("overwrite")}>
                Overwrite theirs
              </button>
            </p>
          </div>
        )}
        <div class={`editor-sides ${tab}`}>
          <textarea
            ref={textArea}
            class="text-area"
            aria-label="Text of the report, in Markdown"
            placeholder={PLACEHOLDER}
            maxLength={MAX_CHARACTERS}
            spellcheck
            value={content}
            onInput={(event) => setContent(event.currentTarget.value)}
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

const PLACEHOLDER =
  "## What was tried\n\nText in Markdown. A block that begins with ```panel draws curves, one that begins with ```runs a table of runs.";
const RUNS_BLOCK = "```runs\nsort: -created_at\nlimit: 5\ncolumns: created_at, duration, tags\n```\n";

function panelBlockFor(metric: string): string {
  return `\`\`\`panel\nmetrics: ${metric}\nlimit: 10\nsmoothing: 0.5\n\`\`\`\n`;
}

function saveKey(event: KeyboardEvent, save: () => void): void {
  if (event.key !== "s" || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  save();
}

/** The value once nothing has changed for a moment. */
function useSettled(value: string): string {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), SETTLE_MS);
    return () => clearTimeout(timer);
  }, [value]);
  return settled;
}

/** For the block that is inserted: one that will draw something. */
function useFirstMetric(team: string, project: string): string {
  const { data } = useQuery(`first metric ${team}/${project}`, (signal) =>
    call("ListMetrics", { team, project, page_size: 200 }, signal),
  );
  const names = data?.metrics.map((item) => item.name).filter((name) => !isSystem(name)) ?? [];
  return names.find((name) => /loss/i.test(name)) ?? names[0] ?? "loss";
}
