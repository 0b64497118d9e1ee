// The state of the editor of a report. The browser keeps unsaved text as a draft. Saving does not overwrite a newer
// version unless the user chooses so.
import { useEffect, useState } from "preact/hooks";
import { ApiError, call } from "../api/client";
import type { Saved } from "../api/contract";
import { newId, savedKey, savedPath } from "../saved/savedItems";
import { navigate } from "../state/route";
import { toast, withErrorToast } from "../ui/toasts";
import { type Draft, keepDraft, readDraft } from "./draft";

export interface EditorProps {
  team: string;
  project: string;
  /** Null for a new report. */
  report: Saved | null;
}

type SaveMode = "version" | "overwrite" | "copy";

export interface ReportDraft {
  /** The report as it was last saved, or null if it never was. */
  saved: Saved | null;
  name: string;
  content: string;
  shared: boolean;
  setName: (name: string) => void;
  setContent: (content: string) => void;
  setShared: (shared: boolean) => void;
  /** Whether the text or the name differs from what is saved. */
  dirty: boolean;
  busy: boolean;
  /** A draft of an earlier visit, until it is saved or discarded. */
  recovered: Draft | null;
  /** The server's message if the report has a newer version. */
  conflict: string | null;
  save: (mode?: SaveMode) => Promise<void>;
  discardDraft: () => void;
  loadTheirVersion: () => Promise<boolean>;
}

export function useReportDraft({ team, project, report }: EditorProps): ReportDraft {
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
  const [id] = useState(newId);
  const dirty = name !== (saved?.name ?? "") || content !== (saved?.content ?? "");

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
  const create = async (isCopy: boolean) => {
    const made = await call("CreateSaved", {
      ...{ team, project, kind: "SAVED_KIND_REPORT", content, shared },
      name: isCopy ? `${name} (copy)`.slice(0, 128) : name,
      id: isCopy ? newId() : id,
    });
    keepDraft(key, null);
    acceptSaved(made);
    setName(made.name);
    navigate(savedPath(made, "edit"), true);
  };
  const update = async (known: Saved, mode: SaveMode) => {
    const condition = mode === "overwrite" ? { overwrite: true } : { version };
    acceptSaved(await call("UpdateSaved", { ...savedKey(known), name, content, ...condition }));
  };
  const save = async (mode: SaveMode = "version") => {
    if (!name.trim()) return toast("Give the report a name first");
    if (busy) return;
    setBusy(true);
    try {
      if (!saved || mode === "copy") await create(mode === "copy");
      else await update(saved, mode);
      toast("Saved");
    } catch (error) {
      if (error instanceof ApiError && error.code === "FAILED_PRECONDITION") setConflict(error.message);
      else toast(`Not saved: ${(error as Error).message}`, { forMs: 7000 });
    } finally {
      setBusy(false);
    }
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
  return {
    saved,
    name,
    content,
    shared,
    setName,
    setContent,
    setShared,
    dirty,
    busy,
    recovered,
    conflict,
    save,
    discardDraft,
    loadTheirVersion,
  };
}
