// My API keys: made (shown once), listed, ended.
import { useEffect, useState } from "preact/hooks";
import { call } from "../api/client";
import type { ApiKey, CreateApiKeyResponse } from "../api/contract";
import { useAnswer } from "../api/useQuery";
import { formatAgo, formatDay, formatTime } from "../lib/format";
import { place, setQuery } from "../state/route";
import { user } from "../state/user";
import { CodeBlock } from "../ui/CodeBlock";
import { ConfirmDialog } from "../ui/ConfirmDialog";
import { Dialog } from "../ui/Dialog";
import { ErrorNote, Loading } from "../ui/feedback";
import { toast } from "../ui/toasts";
import "../styles/run.css";
import "../styles/explore.css";

const DAY_S = 86_400;
const LIFETIMES: readonly [number, string][] = [
  [0, "as long as the key of this session"],
  [DAY_S, "one day"],
  [30 * DAY_S, "30 days"],
  [90 * DAY_S, "90 days"],
  [365 * DAY_S, "one year"],
];

export default function Keys() {
  const all = place.value.query.get("all") === "1";
  const { data, error, refresh } = useAnswer(
    `api keys ${all}`,
    (signal) => call("ListApiKeys", { all }, signal),
    15_000,
    true,
  );
  const [made, setMade] = useState<CreateApiKeyResponse | null>(null);
  const [ending, setEnding] = useState<ApiKey | null>(null);
  useEffect(() => {
    document.title = "My API keys · runstream";
  }, []);
  if (error && !data) return <ErrorNote error={error} retry={refresh} />;
  if (!data) return <Loading />;
  const end = async (key: ApiKey) => {
    setEnding(null);
    try {
      await call("RevokeApiKey", { prefix: key.prefix });
      toast(`${key.name || key.prefix} is revoked`);
    } catch (failed) {
      toast(`Not revoked: ${(failed as Error).message}`, { forMs: 8000 });
    }
    refresh();
  };
  return (
    <div class="narrow keys-page">
      <section class="block">
        <h1 class="title">My API keys</h1>
        <p class="quiet">
          Programs log in with a key: one for each machine or job, so that one that leaks can be ended alone. Each may
          do what you may do.
        </p>
        <NewKey made={(key) => (setMade(key), refresh())} />
      </section>
      <section class="block" aria-label="Keys">
        <p class="keys-tools">
          <label>
            <input type="checkbox" checked={all} onChange={(event) => setQuery({ all: event.currentTarget.checked })} />{" "}
            Also those that have ended
          </label>
        </p>
        <div class="scrolled" tabIndex={0} role="region" aria-label="API keys">
          <table class="plain-table">
            <thead>
              <tr>
                <th scope="col">Key</th>
                <th scope="col" class="wide-only">
                  Team
                </th>
                <th scope="col" class="wide-only">
                  Made
                </th>
                <th scope="col">Valid</th>
                <td />
              </tr>
            </thead>
            <tbody>
              {data.keys.map((key) => (
                <Row key={key.prefix} one={key} end={() => setEnding(key)} />
              ))}
            </tbody>
          </table>
        </div>
      </section>
      {made && <Secret made={made} close={() => setMade(null)} />}
      {ending && (
        <ConfirmDialog
          title={`Revoke ${ending.name || ending.prefix}?`}
          confirm="Revoke the key"
          close={() => setEnding(null)}
          act={() => void end(ending)}
        >
          Programs that log with it are refused within 15 seconds; what they keep on disk is not lost, and can be sent
          with another key. This cannot be taken back.
          {ending.current && <b> It is the key of this session: you will be logged out.</b>}
        </ConfirmDialog>
      )}
    </div>
  );
}

function Row({ one, end }: { one: ApiKey; end: () => void }) {
  const valid = one.state === "STATE_VALID";
  return (
    <tr class={valid ? "" : "ended"}>
      <td>
        <span class="key-name">{one.name || <span class="quiet">no name</span>}</span>{" "}
        {one.current && <span class="tag">this session</span>}
        <br />
        <code>{one.prefix}…</code>
      </td>
      <td class="wide-only">{one.default_team}</td>
      <td class="wide-only" title={formatTime(one.created)}>
        {formatAgo(one.created)}
        {one.made_by ? "" : ", on the server"}
      </td>
      <td title={formatTime(one.revoked ?? one.expires)}>{validity(one)}</td>
      <td class="right">
        {valid && (
          <button class="button danger" onClick={end} aria-label={`Revoke ${one.name || one.prefix}`}>
            Revoke…
          </button>
        )}
      </td>
    </tr>
  );
}

function validity(one: ApiKey): string {
  if (one.state === "STATE_REVOKED") return one.revoked ? `revoked ${formatAgo(one.revoked)}` : "revoked";
  if (one.state === "STATE_EXPIRED") return `expired ${formatAgo(one.expires)}`;
  return one.expires ? `until ${formatDay(one.expires)}` : "until revoked";
}

function NewKey({ made }: { made: (key: CreateApiKeyResponse) => void }) {
  const [name, setName] = useState("");
  const [team, setTeam] = useState("");
  const [lifetime, setLifetime] = useState(0);
  const [failed, setFailed] = useState("");
  const [busy, setBusy] = useState(false);
  const teams = user.value?.teams ?? [];
  const make = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    try {
      made(await call("CreateApiKey", { name, default_team: team, lifetime_s: lifetime }));
      setName("");
      setFailed("");
    } catch (error) {
      setFailed((error as Error).message);
    }
    setBusy(false);
  };
  return (
    <form class="new-key" onSubmit={(event) => void make(event)}>
      <label>
        What it is for
        <input
          class="text-input"
          required
          maxLength={100}
          value={name}
          placeholder="cluster, laptop, CI"
          onInput={(event) => setName(event.currentTarget.value)}
        />
      </label>
      {teams.length > 1 && (
        <label>
          Team where none is named
          <select
            class="select"
            value={team || user.value!.default_team}
            onChange={(event) => setTeam(event.currentTarget.value)}
          >
            {teams.map((one) => (
              <option key={one}>{one}</option>
            ))}
          </select>
        </label>
      )}
      <label>
        Valid for
        <select class="select" value={lifetime} onChange={(event) => setLifetime(Number(event.currentTarget.value))}>
          {LIFETIMES.map(([seconds, text]) => (
            <option key={seconds} value={seconds}>
              {text}
            </option>
          ))}
        </select>
      </label>
      <button class="button primary" type="submit" disabled={busy}>
        Make a key
      </button>
      {failed && (
        <p class="form-error" role="alert">
          {failed}
        </p>
      )}
    </form>
  );
}

function Secret({ made, close }: { made: CreateApiKeyResponse; close: () => void }) {
  const shell = `export RUNSTREAM_BASE_URL=${location.origin}\nexport RUNSTREAM_API_KEY=${made.secret}`;
  return (
    <Dialog title={`The key ${made.key!.name}`} close={close}>
      <p>
        <b>Copy it now:</b> it is shown this once, and nobody can show it again.
      </p>
      <CodeBlock text={made.secret} label="API key" />
      <p>Or both lines for a shell:</p>
      <CodeBlock text={shell} label="shell commands" />
      {made.key!.expires && <p class="quiet">Valid until {formatTime(made.key!.expires)}.</p>}
      <p class="dialog-actions">
        <button class="button primary" onClick={close}>
          I have it
        </button>
      </p>
    </Dialog>
  );
}
