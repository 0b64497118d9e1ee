import { helpOpen, shortcuts } from "../state/shortcuts";
import { Dialog } from "../ui/Dialog";

export function Help() {
  if (!helpOpen.value) return null;
  return (
    <Dialog title="Keyboard shortcuts" close={() => (helpOpen.value = false)}>
      <dl class="keys">
        {[...shortcuts.value, { key: "?", what: "These shortcuts" }].map((one) => (
          <div key={one.key}>
            <dt>
              <kbd>{one.key}</kbd>
            </dt>
            <dd>{one.what}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
