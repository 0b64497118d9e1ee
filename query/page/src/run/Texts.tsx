// Logged texts: a panel for each key, the newest step first.
import { useState } from "preact/hooks";
import { call } from "../api/client";
import type { Key, TextPoint } from "../api/contract";
import { useNewestFirst } from "../api/useNewestFirst";
import { count, formatNumber } from "../lib/format";
import { compareNaturally } from "../lib/panels";
import { ErrorMessage, Loading } from "../ui/feedback";
import type { RunProps, RunTabProps } from "./tabProps";
import "../styles/rich.css";

const LIVE_MS = 2000;
const PAGE = 10;
const MAX_KEYS = 50;

export default function Texts({ run, keys }: RunTabProps) {
  const textKeys = keys.filter((key) => key.kind === "KEY_KIND_TEXT").sort((a, b) => compareNaturally(a.name, b.name));
  return (
    <div class="rich">
      {textKeys.slice(0, MAX_KEYS).map((key) => (
        <TextPanel key={key.name} run={run} logged={key} />
      ))}
      {textKeys.length > MAX_KEYS && <p class="quiet">and {textKeys.length - MAX_KEYS} more keys</p>}
    </div>
  );
}

function TextPanel({ run, logged }: RunProps & { logged: Key }) {
  const [maxStep, setMaxStep] = useState("");
  const key = logged.name;
  const request = {
    team: run.team,
    project: run.project,
    run: run.id,
    keys: [key],
    newest_first: true,
    page_size: PAGE,
    ...(maxStep && { max_step: maxStep }),
  };
  const { items, error, loadOlder } = useNewestFirst<TextPoint>(
    JSON.stringify(request),
    async (page_token, signal) => {
      const answer = await call("GetTexts", { ...request, page_token }, signal);
      return { items: answer.texts, next: answer.next_page_token };
    },
    (text) => `${text.step} ${text.rank}`,
    (a, b) => Number(b.step) - Number(a.step) || a.rank - b.rank,
    run.state === "RUN_STATE_RUNNING" && !maxStep ? LIVE_MS : 0,
  );
  return (
    <section class="info wide" aria-label={key}>
      <header>
        <h2>{key}</h2>
        <span class="grow" />
        <span class="quiet numeric">{count(Number(logged.count), "text")}</span>
        <label class="quiet up-to">
          up to step
          <input
            class="text-input numeric"
            type="number"
            step={1}
            value={maxStep}
            placeholder={logged.last_step}
            onInput={(event) => setMaxStep(wholeNumber(event.currentTarget.value))}
          />
        </label>
      </header>
      {error && !items ? (
        <ErrorMessage error={error} />
      ) : !items ? (
        <Loading small />
      ) : !items.length ? (
        <p class="quiet">No texts up to this step.</p>
      ) : (
        <dl class="texts">
          {items.map((text) => (
            <div key={`${text.step} ${text.rank}`}>
              <dt class="quiet numeric">
                step {formatNumber(Number(text.step))}
                {run.world_size > 1 && ` · rank ${text.rank}`}
              </dt>
              <dd>
                <LongText text={text.text} />
              </dd>
            </div>
          ))}
        </dl>
      )}
      {loadOlder && (
        <button class="link" onClick={loadOlder}>
          Show earlier steps
        </button>
      )}
    </section>
  );
}

const LONG_TEXT = 2000;

function LongText({ text }: { text: string }) {
  const [open, setOpen] = useState(false);
  const long = text.length > LONG_TEXT;
  return (
    <>
      <pre class="logged">{long && !open ? `${text.slice(0, LONG_TEXT)}…` : text}</pre>
      {long && (
        <button class="link" onClick={() => setOpen(!open)}>
          {open ? "Show less" : `Show all ${count(text.length, "character")}`}
        </button>
      )}
    </>
  );
}

function wholeNumber(text: string): string {
  const value = Math.trunc(Number(text));
  return text !== "" && Number.isSafeInteger(value) ? String(value) : "";
}
