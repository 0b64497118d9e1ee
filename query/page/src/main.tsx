import { render } from "preact";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/parts.css";
import { App, preload } from "./app/App";
import { start as startLocation } from "./state/route";
import { start as startKeyboard } from "./state/shortcuts";

startLocation();
startKeyboard();
preload();
render(<App />, document.getElementById("page")!);
