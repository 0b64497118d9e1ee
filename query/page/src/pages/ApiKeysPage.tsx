// The user's API keys: create (the key is shown once), list, revoke.
import { useEffect, useState } from "preact/hooks";
import { call } from "../api/client";
import type { ApiKey, CreateApiKeyResponse } from "../api/contract";
import { useQuery } from "../api/useQuery";
import { formatAgo, formatDay, formatTime } from "../lib/format";
import { route, setQuery } from "../state/route";
import { user } from "../state/user";
import { CodeBlock } from "../ui/CodeBlock";
import { ConfirmDialog } from "../ui/ConfirmDialog";
import { Dialog } from "../ui/Dialog";
import { ErrorMessage, Loading } from "../ui/feedback";
import { toast } from "../ui/toasts";
import "../styles/run.css";
import "../styles/explore.css";

const DAY_S = 86_400;
const LIFETIMES: readonly [number, string][] = [
  [0, "as long as this session's key"],
  [DAY_S, "one day"],
  [30 * DAY_S, "30 days"],
  [90 * DAY_S, "90 days"],
  [365 * DAY_S, "one year"],
];

export default function ApiKeysPage() {
  const all = route.value.query.get("all") === "1";
  const { data, error, refresh } = useQuery(
    `api keys ${all}`,
    (signal) => call("ListApiKeys", { all }, signal),
    15_000,
    true,
  );
  const [created, setCreated] = useState<CreateApiKeyResponse | null>(null);
  const [revoking, setRevoking] = useState<ApiKey | null>(null);
  useEffect(() => {
    document.title = "My API keys · runstream";
  }, []);
  if (error && !data) return <ErrorMessage error={error} retry={refresh} />;
  if (!data) return <Loading />;
  const revoke = async (key: ApiKey) => {
    setRevoking(null);
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
          Programs log in with an API key. Create one key for each machine or job: if a key leaks, you can revoke it
          alone. Each key has all of your permissions.
        </p>
        <NewKey
          onCreated={(key) => {
            setCreated(key);
            refresh();
          }}
        />
      </section>
      <section class="block" aria-label="Keys">
        <p class="keys-tools">
          <label>
            <input type="checkbox" checked={all} onChange={(event) => setQuery({ all: event.currentTarget.checked })} />{" "}
            Show expired and revoked keys
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
                  Created
                </th>
                <th scope="col">Valid</th>
                <td />
              </tr>
            </thead>
            <tbody>
              {data.keys.map((key) => (
                <KeyRow key={key.prefix} apiKey={key} onRevoke={() => setRevoking(key)} />
              ))}
            </tbody>
          </table>
        </div>
      </section>
      {created && <SecretDialog created={created} close={() => setCreated(null)} />}
      {revoking && (
        <ConfirmDialog
          title={`Revoke ${revoking.name || revoking.prefix}?`}
          confirm="Revoke the key"
          close={() => setRevoking(null)}
          onConfirm={() => void revoke(revoking)}
        >
          Programs that use this key are refused within 15 seconds. Their data on disk is not lost and can be sent with
          another key. You cannot undo this.
          {revoking.current && <b> This session uses the key: you will be logged out.</b>}
        </ConfirmDialog>
      )}
    </div>
  );
}

function KeyRow({ apiKey, onRevoke }: { apiKey: ApiKey; onRevoke: () => void }) {
  const valid = apiKey.state === "STATE_VALID";
  return (
    <tr class={valid ? "" : "ended"}>
      <td>
        <span class="key-name">{apiKey.name || <span class="quiet">no name</span>}</span>{" "}
        {apiKey.current && <span class="tag">this session</span>}
        <br />
        <code>{apiKey.prefix}…</code>
      </td>
      <td class="wide-only">{apiKey.default_team}</td>
      <td class="wide-only" title={formatTime(apiKey.created)}>
        {formatAgo(apiKey.created)}
        {apiKey.made_by ? "" : ", on the server"}
      </td>
      <td title={formatTime(apiKey.revoked ?? apiKey.expires)}>{validity(apiKey)}</td>
      <td class="right">
        {valid && (
          <button class="button danger" onClick={onRevoke} aria-label={`Revoke ${apiKey.name || apiKey.prefix}`}>
            Revoke…
          </button>
        )}
      </td>
    </tr>
  );
}

function validity(item: ApiKey): string {
  if (item.state === "STATE_REVOKED") return item.revoked ? `revoked ${formatAgo(item.revoked)}` : "revoked";
  if (item.state === "STATE_EXPIRED") return `expired ${formatAgo(item.expires)}`;
  return item.expires ? `until ${formatDay(item.expires)}` : "until revoked";
}

function NewKey({ onCreated }: { onCreated: (key: CreateApiKeyResponse) => void }) {
  const [name, setName] = useState("");
  const [team, setTeam] = useState("");
  const [lifetime, setLifetime] = useState(0);
  const [failed, setFailed] = useState("");
  const [busy, setBusy] = useState(false);
  const teams = user.value?.teams ?? [];
  const createKey = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    try {
      onCreated(await call("CreateApiKey", { name, default_team: team, lifetime_s: lifetime }));
      setName("");
      setFailed("");
    } catch (error) {
      setFailed((error as Error).message);
    }
    setBusy(false);
  };
  return (
    <form class="new-key" onSubmit={(event) => void createKey(event)}>
      <label>
        Purpose
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
          Default team
          <select
            class="select"
            value={team || user.value!.default_team}
            onChange={(event) => setTeam(event.currentTarget.value)}
          >
            {teams.map((item) => (
              <option key={item}>{item}</option>
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
        Create a key
      </button>
      {failed && (
        <p class="form-error" role="alert">
          {failed}
        </p>
      )}
    </form>
  );
}

function SecretDialog({ created, close }: { created: CreateApiKeyResponse; close: () => void }) {
  const shell = `export RUNSTREAM_BASE_URL=${location.origin}\nexport RUNSTREAM_API_KEY=${created.secret}`;
  return (
    <Dialog title={`The key ${created.key!.name}`} close={close}>
      <p>
        <b>Copy the key now.</b> It is shown only once and cannot be shown again.
      </p>
      <CodeBlock text={created.secret} label="API key" />
      <p>Or copy both lines into a shell:</p>
      <CodeBlock text={shell} label="shell commands" />
      {created.key!.expires && <p class="quiet">Valid until {formatTime(created.key!.expires)}.</p>}
      <p class="dialog-actions">
        <button class="button primary" onClick={close}>
          I have copied it
        </button>
      </p>
    </Dialog>
  );
}
