// The bar at the top: the path of the view, the theme, the shortcuts and the user's menu.
import { useEffect, useState } from "preact/hooks";
import { logOut, unreachableSince } from "../api/client";
import { navigate, path, route } from "../state/route";
import { helpOpen } from "../state/shortcuts";
import { chooseTheme, dark } from "../state/theme";
import { user } from "../state/user";
import { Icon } from "../ui/Icon";
import { Menu, MenuItem } from "../ui/Menu";

export function TopBar() {
  const [team, project, view, run] = route.value.parts;
  const shownTeam = team === "-" ? user.value?.default_team : team;
  return (
    <header class="topbar">
      <a class="brand" href="/" aria-label="runstream: home">
        <Icon name="stream" />
        <span>runstream</span>
      </a>
      <nav class="crumbs" aria-label="Where you are">
        {shownTeam && shownTeam !== "login" && shownTeam !== "~" && <a href={path(shownTeam)}>{shownTeam}</a>}
        {project && shownTeam !== "~" && <a href={path(shownTeam!, project)}>{project}</a>}
        {(view === "runs" || view === "sweeps") && run && <a href={path(shownTeam!, project!, view, run)}>{run}</a>}
      </nav>
      <span class="grow" />
      <button
        class="icon-button"
        onClick={() => chooseTheme(dark.value ? "light" : "dark")}
        aria-label={dark.value ? "Light theme" : "Dark theme"}
        title={dark.value ? "Light theme" : "Dark theme"}
      >
        <Icon name={dark.value ? "sun" : "moon"} />
      </button>
      <button
        class="icon-button wide-only"
        onClick={() => (helpOpen.value = true)}
        aria-label="Keyboard shortcuts"
        title="Keyboard shortcuts (?)"
      >
        <Icon name="keyboard" />
      </button>
      {user.value && (
        <Menu
          label={`Account of ${user.value.user}`}
          button={
            <span class="avatar" aria-hidden="true">
              {[...user.value.user][0]?.toUpperCase()}
            </span>
          }
        >
          <p class="menu-note">
            <b>{user.value.user}</b>
            <br />
            {user.value.teams.join(", ")} · key {user.value.key_prefix}
          </p>
          <MenuItem onSelect={() => navigate("/~/keys")}>My API keys</MenuItem>
          <MenuItem
            onSelect={() => {
              void logOut();
              user.value = null;
            }}
          >
            Log out
          </MenuItem>
        </Menu>
      )}
    </header>
  );
}

/** A note that the server cannot be reached. It appears after a second: a single lost request is not worth a note. */
export function UnreachableNotice() {
  const since = unreachableSince.value;
  const [seconds, setSeconds] = useState(0);
  useEffect(() => {
    setSeconds(0);
    if (since === null) return;
    const timer = setInterval(() => setSeconds(Math.round((Date.now() - since) / 1000)), 500);
    return () => clearInterval(timer);
  }, [since]);
  if (since === null || seconds < 1) return null;
  return (
    <div class="away" role="status">
      The server has not answered for {seconds} s. The page shows its last answers and keeps trying.
    </div>
  );
}
