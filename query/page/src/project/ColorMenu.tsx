// A run's colour, and the menu in which the user changes it.
import { useState } from "preact/hooks";
import type { Run } from "../api/contract";
import { PALETTE } from "../lib/colors";
import { Menu } from "../ui/Menu";
import { setColor } from "./runColors";

export function ColorMenu({ run, color }: { run: Run; color: string | undefined }) {
  const [custom] = useState(() => PALETTE.map((_, at) => at));
  return (
    <Menu
      label={`Colour of ${run.name}`}
      button={<i class="swatch" style={color ? { background: color } : {}} />}
      class="small"
    >
      <div class="swatches">
        {custom.map((at) => (
          <button
            key={at}
            class="swatch"
            style={{ background: PALETTE[at] }}
            aria-label={`Colour ${at + 1}`}
            onClick={() => setColor(run.id, at)}
          />
        ))}
        <button class="link" onClick={() => setColor(run.id, null)}>
          its own
        </button>
      </div>
    </Menu>
  );
}
