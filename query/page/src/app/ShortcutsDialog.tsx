import { helpOpen, shortcuts } from "../state/shortcuts";
import { Dialog } from "../ui/Dialog";

export function ShortcutsDialog() {
  if (!helpOpen.value) return null;
  return (
    <Dialog title="Keyboard shortcuts" close={() => (helpOpen.value = false)}>
      <dl class="keys">
        {[...shortcuts.value, { key: "?", description: "Show these shortcuts" }].map((item) => (
          <div key={item.key}>
            <dt>
              <kbd>{item.key}</kbd>
            </dt>
            <dd>{item.description}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
