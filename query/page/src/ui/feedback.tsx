// What a view shows while it loads, when it is empty, and when an error has occurred.
import type { ComponentChildren } from "preact";
import { ApiError } from "../api/client";

export function Loading({ small = false }: { small?: boolean }) {
  return (
    <div class={small ? "loading small" : "loading"} role="status">
      <span class="spinner" aria-hidden="true" />
      <span class="quiet">Loading</span>
    </div>
  );
}

export function ErrorMessage({ error, retry }: { error: Error; retry?: () => void }) {
  const code = error instanceof ApiError ? error.code : "";
  const text = error.message.charAt(0).toUpperCase() + error.message.slice(1);
  return (
    <div class="note error" role="alert">
      <h2>{TITLES[code] ?? "Something went wrong"}</h2>
      <p>{/[.?!]$/.test(text) ? text : `${text}.`}</p>
      <p class="row">
        {retry && (
          <button class="button" onClick={retry}>
            Try again
          </button>
        )}
        <a class="button plain" href="/">
          Home
        </a>
      </p>
    </div>
  );
}

const TITLES: Record<string, string> = {
  NOT_FOUND: "Not found",
  PERMISSION_DENIED: "Access denied",
  UNAVAILABLE: "The server cannot be reached",
  RESOURCE_EXHAUSTED: "Limit exceeded",
};

export function EmptyState({ title, children }: { title: string; children: ComponentChildren }) {
  return (
    <div class="note">
      <h2>{title}</h2>
      {children}
    </div>
  );
}
