// The frame: who is logged in, which view the URL means, and what is said when the server is away.
import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { checkSession, loggedIn } from "../api/client";
import { Home } from "../pages/HomePage";
import { Login } from "../pages/LoginPage";
import { place } from "../state/route";
import { user } from "../state/user";
import { ErrorNote, Loading } from "../ui/feedback";
import { Toasts } from "../ui/toasts";
import { Help } from "./ShortcutsDialog";
import { Away, TopBar } from "./TopBar";

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

/** Views of who is logged in, at `/~/NAME`: no team has such a name. */
const OWN_VIEWS: Record<string, () => Promise<{ default: View }>> = { keys: () => import("../pages/ApiKeysPage") };

/** The code of the view that the URL means is fetched while it is asked who is logged in. */
export function preload(): void {
  const view = place.value.parts[2] ?? (place.value.parts[1] ? "charts" : "");
  if (Object.hasOwn(VIEWS, view)) void VIEWS[view]!().catch(() => undefined); // said where it is needed
}

export function App() {
  useEffect(() => {
    if (place.value.parts[0] === "login" && place.value.hash) loggedIn.value = false;
    else if (loggedIn.value === null || (loggedIn.value && !user.value)) void ask();
  }, [loggedIn.value]);
  const [failed, setFailed] = useState<Error>();
  async function ask(): Promise<void> {
    try {
      user.value = await checkSession();
      loggedIn.value = user.value !== null;
      setFailed(undefined);
    } catch (error) {
      if (loggedIn.value !== false) setFailed(error as Error);
    }
  }
  if (loggedIn.value === false) return <Login />;
  return (
    <>
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <TopBar />
      <Away />
      <main id="main" tabIndex={-1}>
        {failed ? <ErrorNote error={failed} retry={() => void ask()} /> : user.value ? <Routed /> : <Loading />}
      </main>
      <Toasts />
      <Help />
    </>
  );
}

function Routed() {
  const [team = "", project = "", view = "charts", ...rest] = place.value.parts;
  if (!team || team === "login") return <Home />;
  if (team === "~" && Object.hasOwn(OWN_VIEWS, project))
    return <Lazy key={project} load={OWN_VIEWS[project]!} team="" project="" rest={[]} />;
  if (!project) return <Home team={team} />;
  const load = Object.hasOwn(VIEWS, view) ? VIEWS[view] : undefined;
  if (!load) return <ErrorNote error={new Error(`there is no view ${view}`)} />;
  const known = team === "-" ? user.value!.default_team : team;
  return <Lazy key={`${view}`} load={load} team={known} project={project} rest={rest} />;
}

function Lazy({
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
      <ErrorNote
        error={new Error("a part of the page did not load: was the server updated? Reload the page.")}
        retry={() => location.reload()}
      />
    );
  return view ? <view.component {...props} /> : <Loading />;
}
