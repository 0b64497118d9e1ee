import { render } from "preact";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/parts.css";
import { start as startKeyboard } from "./state/shortcuts";
import { start as startLocation } from "./state/route";
import { App, preload } from "./app/App";

startLocation();
startKeyboard();
preload();
render(<App />, document.getElementById("page")!);
