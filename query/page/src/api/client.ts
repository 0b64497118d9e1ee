// The query service, over its JSON: `call("ListRuns", {...})`, typed by the contract.
import { signal } from "@preact/signals";
import type { Methods, WhoAmIResponse } from "./contract";

export class ApiError extends Error {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/** Whether somebody is logged in; null: not known yet. */
export const loggedIn = signal<boolean | null>(null);
/** When the server was last found away, ms since 1970; null while it answers. */
export const awaySince = signal<number | null>(null);

const PAGE = { "x-runstream-page": "1", "content-type": "application/json" };
const TIMEOUT_MS = 60_000;

export async function call<M extends keyof Methods>(
  method: M,
  request: Partial<Methods[M][0]>,
  signal?: AbortSignal,
): Promise<Methods[M][1]> {
  return (await send(`/api/v1/${method}`, "POST", request, signal)) as Methods[M][1];
}

/** Whose session this browser has; null: nobody's. Rejects with ApiError. */
export async function checkSession(): Promise<WhoAmIResponse | null> {
  const found = (await send("/api/session", "GET", undefined)) as { logged_in: boolean; user?: WhoAmIResponse };
  return found.user ?? null;
}

export async function logIn(secret: { key: string } | { link: string }): Promise<void> {
  await send("/api/session", "POST", secret);
  loggedIn.value = true;
}

export async function logOut(): Promise<void> {
  await send("/api/session", "DELETE", {});
  loggedIn.value = false;
}

/** A change that must be sent although the page is going away. */
export function callLast<M extends keyof Methods>(method: M, request: Partial<Methods[M][0]>): void {
  void fetch(`/api/v1/${method}`, { method: "POST", headers: PAGE, body: JSON.stringify(request), keepalive: true });
}

async function send(url: string, method: string, body: unknown, signal?: AbortSignal): Promise<unknown> {
  const limit = AbortSignal.timeout(TIMEOUT_MS);
  let response: Response;
  try {
    response = await fetch(url, {
      method,
      headers: PAGE,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    awaySince.value ??= Date.now();
    throw new ApiError("UNAVAILABLE", "the server does not answer");
  }
  const text = await response.text();
  if (response.ok) {
    awaySince.value = null;
    return JSON.parse(text);
  }
  throw refusal(response.status, text);
}

function refusal(status: number, text: string): ApiError {
  let error = new ApiError("UNKNOWN", `the server answered with status ${status}`);
  try {
    const found = (JSON.parse(text) as { error: { code: string; message: string } }).error;
    error = new ApiError(found.code, found.message);
  } catch {
    // A proxy's own page: the status says enough.
  }
  if (status === 401) loggedIn.value = false;
  if (status === 502 || status === 503 || status === 504) awaySince.value ??= Date.now();
  else awaySince.value = null;
  return error;
}
