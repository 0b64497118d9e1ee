import { CodeBlock } from "../ui/CodeBlock";
import { EmptyState } from "../ui/feedback";

/** How to log the first run, with the address of this server. */
export function FirstRun({ project = "my-project" }: { project?: string }) {
  const shell = `pip install runstream
export RUNSTREAM_BASE_URL=${location.origin}
export RUNSTREAM_API_KEY=...   # the key that you logged in with, or a new one from: runstream key create`;
  const code = `import runstream

run = runstream.init(project=${JSON.stringify(project)}, config={"lr": 0.1})
for step in range(100):
    run.log({"train/loss": 1 / (1 + step * run.config["lr"])})
run.finish()`;
  return (
    <EmptyState title="Log your first run">
      <p>In a shell on the machine that trains:</p>
      <CodeBlock text={shell} label="shell commands" />
      <p>In your training script:</p>
      <CodeBlock text={code} label="training script" />
      <p class="quiet">The run appears here within two seconds of its first point.</p>
    </EmptyState>
  );
}
