import { render } from "preact";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/frame.css";
import "./styles/controls.css";
import "./styles/content.css";
import "./styles/overlays.css";
import { App, preload } from "./app/App";
import { startRouting } from "./state/route";
import { startShortcuts } from "./state/shortcuts";

startRouting();
startShortcuts();
preload();
render(<App />, document.getElementById("page")!);
