// Requests to the query service, as JSON: `call("ListRuns", {...})`. The contract gives their types.
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

/** Whether a user is logged in; null if not known yet. */
export const loggedIn = signal<boolean | null>(null);
/** Since when the server cannot be reached, in ms since 1970; null while it answers. */
export const unreachableSince = signal<number | null>(null);

const HEADERS = { "x-runstream-page": "1", "content-type": "application/json" };
const JSON_TYPE = "application/json";
const PROTOBUF_TYPE = "application/x-protobuf";
const TIMEOUT_MS = 60_000;

export async function call<M extends keyof Methods>(
  method: M,
  request: Partial<Methods[M][0]>,
  signal?: AbortSignal,
): Promise<Methods[M][1]> {
  return (await requestJson(`/api/v1/${method}`, "POST", request, signal)) as Methods[M][1];
}

/** Send a request and receive protobuf, for large answers. `read` decodes the body. Reject with ApiError. */
export async function callProtobuf<M extends keyof Methods, T>(
  method: M,
  request: Partial<Methods[M][0]>,
  read: (body: Uint8Array) => T,
  signal?: AbortSignal,
): Promise<T> {
  const response = await fetchResponse(`/api/v1/${method}`, "POST", request, signal, PROTOBUF_TYPE);
  return read(new Uint8Array(await readBody(response, "arrayBuffer", signal)));
}

/** Return the user of this browser's session, or null. Reject with ApiError. */
export async function checkSession(): Promise<WhoAmIResponse | null> {
  const found = (await requestJson("/api/session", "GET", undefined)) as { logged_in: boolean; user?: WhoAmIResponse };
  return found.user ?? null;
}

export async function logIn(secret: { key: string } | { link: string }): Promise<void> {
  await requestJson("/api/session", "POST", secret);
  loggedIn.value = true;
}

export async function logOut(): Promise<void> {
  await requestJson("/api/session", "DELETE", {});
  loggedIn.value = false;
}

/** Send a change although the page is being left. */
export function callOnUnload<M extends keyof Methods>(method: M, request: Partial<Methods[M][0]>): void {
  void fetch(`/api/v1/${method}`, { method: "POST", headers: HEADERS, body: JSON.stringify(request), keepalive: true });
}

async function requestJson(url: string, method: string, body: unknown, signal?: AbortSignal): Promise<unknown> {
  return JSON.parse(await readBody(await fetchResponse(url, method, body, signal), "text", signal));
}

/** Return a successful response, whose body is still to be read. Reject with ApiError if it is not successful. */
async function fetchResponse(
  url: string,
  method: string,
  body: unknown,
  signal?: AbortSignal,
  accept = JSON_TYPE,
): Promise<Response> {
  const limit = AbortSignal.timeout(TIMEOUT_MS);
  let response: Response;
  try {
    response = await fetch(url, {
      method,
      headers: { ...HEADERS, accept },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
    });
  } catch (error) {
    throw unreachableError(error, signal);
  }
  if (!response.ok) throw errorFromResponse(response.status, await readBody(response, "text", signal));
  unreachableSince.value = null;
  return response;
}

async function readBody<K extends "text" | "arrayBuffer">(
  response: Response,
  kind: K,
  signal?: AbortSignal,
): Promise<Awaited<ReturnType<Response[K]>>> {
  try {
    return (await response[kind]()) as Awaited<ReturnType<Response[K]>>;
  } catch (error) {
    throw unreachableError(error, signal);
  }
}

function unreachableError(error: unknown, signal?: AbortSignal): unknown {
  if (signal?.aborted) return error;
  unreachableSince.value ??= Date.now();
  return new ApiError("UNAVAILABLE", "the server does not answer");
}

function errorFromResponse(status: number, text: string): ApiError {
  let error = new ApiError("UNKNOWN", `the server answered with status ${status}`);
  try {
    const found = (JSON.parse(text) as { error: { code: string; message: string } }).error;
    error = new ApiError(found.code, found.message);
  } catch {
    // The body may be a proxy's page. The status says enough.
  }
  if (status === 401) loggedIn.value = false;
  if (status === 502 || status === 503 || status === 504) unreachableSince.value ??= Date.now();
  else unreachableSince.value = null;
  return error;
}
