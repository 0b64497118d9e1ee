// The login: with an API key, or by the one-time link in the part after the # of the URL. Then the requested view is
// shown.
import { useEffect, useState } from "preact/hooks";
import { logIn } from "../api/client";
import { navigate, route } from "../state/route";
import { user } from "../state/user";
import { Icon } from "../ui/Icon";

export function LoginPage() {
  const link = route.value.parts[0] === "login" ? route.value.hash : "";
  const [key, setKey] = useState("");
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(Boolean(link));

  async function submit(secret: { key: string } | { link: string }): Promise<void> {
    setBusy(true);
    setError("");
    try {
      user.value = null;
      await logIn(secret);
      if (route.value.parts[0] === "login") navigate("/", true);
    } catch (failure) {
      setError((failure as Error).message);
      setBusy(false);
    }
  }
  // biome-ignore lint/correctness/useExhaustiveDependencies: a link is used once
  useEffect(() => {
    document.title = "Log in · runstream";
    if (!link) return;
    history.replaceState(null, "", "/login"); // the link is used up, so the address should not have it
    void submit({ link });
  }, []);

  return (
    <main class="login">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void submit({ key: key.trim() });
        }}
      >
        <h1 class="brand large">
          <Icon name="stream" size={22} />
          <span>runstream</span>
        </h1>
        <label for="key">API key</label>
        <input
          id="key"
          type="password"
          autocomplete="current-password"
          placeholder="rs_…"
          required
          autofocus
          value={key}
          aria-describedby={error ? "login-error" : "login-help"}
          onInput={(event) => setKey(event.currentTarget.value)}
        />
        {error && (
          <p id="login-error" class="form-error" role="alert">
            {error.charAt(0).toUpperCase() + error.slice(1)}.
          </p>
        )}
        <button class="button primary" type="submit" disabled={busy}>
          {busy ? "Logging in…" : "Log in"}
        </button>
        <p id="login-help" class="quiet">
          <code>runstream up</code> prints a link that logs you in. On the server,{" "}
          <code>runstream key create --team TEAM</code> creates a key, and <code>runstream key link PREFIX</code>{" "}
          creates another link.
        </p>
      </form>
    </main>
  );
}
