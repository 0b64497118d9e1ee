// A run's colour, and the menu in which the user changes it.
import { useState } from "preact/hooks";
import type { Run } from "../api/contract";
import { PALETTE } from "../lib/colors";
import { Menu } from "../ui/Menu";
import { setRunColor } from "./runColors";

export function ColorMenu({ run, color }: { run: Run; color: string | undefined }) {
  const [paletteIndexes] = useState(() => PALETTE.map((_, index) => index));
  return (
    <Menu
      label={`Colour of ${run.name}`}
      button={<i class="swatch" style={color ? { background: color } : {}} />}
      class="small"
    >
      <div class="swatches">
        {paletteIndexes.map((index) => (
          <button
            key={index}
            class="swatch"
            style={{ background: PALETTE[index] }}
            aria-label={`Colour ${index + 1}`}
            onClick={() => setRunColor(run.id, index)}
          />
        ))}
        <button class="link" onClick={() => setRunColor(run.id, null)}>
          default
        </button>
      </div>
    </Menu>
  );
}
