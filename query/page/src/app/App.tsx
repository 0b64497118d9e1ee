// The frame around all views: it finds out who is logged in, and shows the view that the URL names.
import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { checkSession, loggedIn } from "../api/client";
import { HomePage } from "../pages/HomePage";
import { LoginPage } from "../pages/LoginPage";
import { route } from "../state/route";
import { user } from "../state/user";
import { ErrorMessage, Loading } from "../ui/feedback";
import { Toasts } from "../ui/toasts";
import { ShortcutsDialog } from "./ShortcutsDialog";
import { TopBar, UnreachableNotice } from "./TopBar";

type View = ComponentType<{ team: string; project: string; rest: string[] }>;
const VIEWS: Record<string, () => Promise<{ default: View }>> = {
  charts: () => import("../pages/WorkspacePage"),
  table: () => import("../pages/RunsTablePage"),
  compare: () => import("../pages/ComparePage"),
  runs: () => import("../pages/RunPage"),
  explore: () => import("../pages/ExplorePage"),
  sweeps: () => import("../pages/SweepsPage"),
  reports: () => import("../pages/ReportsPage"),
  views: () => import("../pages/SavedViewPage"),
};

/** Views of the user, at `/~/NAME`. No team can have the name `~`. */
const USER_VIEWS: Record<string, () => Promise<{ default: View }>> = { keys: () => import("../pages/ApiKeysPage") };

/** Load the code of the view that the URL names, while the session is still being checked. */
export function preload(): void {
  const view = route.value.parts[2] ?? (route.value.parts[1] ? "charts" : "");
  if (Object.hasOwn(VIEWS, view)) void VIEWS[view]!().catch(() => undefined); // the view itself reports the error
}

export function App() {
  // biome-ignore lint/correctness/useExhaustiveDependencies: `loadSession` is new for each render, but always does the same
  useEffect(() => {
    if (route.value.parts[0] === "login" && route.value.hash) loggedIn.value = false;
    else if (loggedIn.value === null || (loggedIn.value && !user.value)) void loadSession();
  }, [loggedIn.value]);
  const [failed, setFailed] = useState<Error>();
  async function loadSession(): Promise<void> {
    try {
      user.value = await checkSession();
      loggedIn.value = user.value !== null;
      setFailed(undefined);
    } catch (error) {
      if (loggedIn.value !== false) setFailed(error as Error);
    }
  }
  if (loggedIn.value === false) return <LoginPage />;
  return (
    <>
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <TopBar />
      <UnreachableNotice />
      <main id="main" tabIndex={-1}>
        {failed ? (
          <ErrorMessage error={failed} retry={() => void loadSession()} />
        ) : user.value ? (
          <CurrentView />
        ) : (
          <Loading />
        )}
      </main>
      <Toasts />
      <ShortcutsDialog />
    </>
  );
}

function CurrentView() {
  const [team = "", project = "", view = "charts", ...rest] = route.value.parts;
  if (!team || team === "login") return <HomePage />;
  if (team === "~" && Object.hasOwn(USER_VIEWS, project))
    return <LazyView key={project} load={USER_VIEWS[project]!} team="" project="" rest={[]} />;
  if (!project) return <HomePage team={team} />;
  const load = Object.hasOwn(VIEWS, view) ? VIEWS[view] : undefined;
  if (!load) return <ErrorMessage error={new Error(`there is no view ${view}`)} />;
  const ownTeam = team === "-" ? user.value!.default_team : team;
  return <LazyView key={`${view}`} load={load} team={ownTeam} project={project} rest={rest} />;
}

function LazyView({
  load,
  ...props
}: {
  load: () => Promise<{ default: View }>;
  team: string;
  project: string;
  rest: string[];
}) {
  const [view, setView] = useState<{ component: View }>();
  const [error, setError] = useState<Error>();
  useEffect(() => {
    load().then((module) => setView({ component: module.default }), setError);
  }, [load]);
  if (error)
    return (
      <ErrorMessage
        error={new Error("a part of the page could not be loaded. The server may have been updated: reload the page.")}
        retry={() => location.reload()}
      />
    );
  return view ? <view.component {...props} /> : <Loading />;
}
