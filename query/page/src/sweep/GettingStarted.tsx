// Commands and code to copy: how to create a sweep and how to start an agent.
import type { Sweep } from "../api/contract";
import { CodeBlock } from "../ui/CodeBlock";
import { EmptyState } from "../ui/feedback";

const KEY = "   # an API key: see My API keys, in the menu at the top right";

export function FirstSweep({ team, project }: { team: string; project: string }) {
  const yaml = `program: train.py
method: bayes
metric: {name: val/loss, goal: minimize}
parameters:
  lr: {distribution: log_uniform_values, min: 1e-5, max: 0.1}
  batch_size: {values: [32, 64, 128]}
run_cap: 50`;
  const shell = `export RUNSTREAM_BASE_URL=${location.origin}
export RUNSTREAM_API_KEY=...${KEY}
runstream sweep sweep.yaml --project ${project} --entity ${team}`;
  return (
    <EmptyState title="Create your first sweep">
      <p>
        Describe the search space in <code>sweep.yaml</code>. In <code>train.py</code>,{" "}
        <code>runstream.init().config</code> has the values of the trial:
      </p>
      <CodeBlock text={yaml} label="sweep.yaml" />
      <p>Create the sweep. It prints a command that starts an agent. Start as many agents as you like:</p>
      <CodeBlock text={shell} label="shell commands" />
      <p class="quiet">W&amp;B sweep configurations work without changes. The sweep appears here when it is created.</p>
    </EmptyState>
  );
}

/** Return `team/project/ID`, which the commands expect. */
export function sweepPath(sweep: Sweep): string {
  return `${sweep.team}/${sweep.project}/${sweep.id}`;
}

export function StartAgent({ sweep }: { sweep: Sweep }) {
  const shell = `export RUNSTREAM_BASE_URL=${location.origin}
export RUNSTREAM_API_KEY=...${KEY}
runstream agent ${sweepPath(sweep)}`;
  const code = `import runstream

runstream.agent("${sweepPath(sweep)}", train)   # train(): your function; it calls runstream.init()`;
  return (
    <>
      <p>
        {hasProgram(sweep)
          ? "On each machine that should run trials, in the folder of the program:"
          : "The sweep names no program. Run its trials with a function:"}
      </p>
      {hasProgram(sweep) ? (
        <CodeBlock text={shell} label="commands that start an agent" />
      ) : (
        <CodeBlock text={code} label="code that starts an agent" />
      )}
      <p class="quiet">Several agents can share the sweep. If an agent dies, another one runs its trial.</p>
    </>
  );
}

function hasProgram(sweep: Sweep): boolean {
  try {
    const definition = JSON.parse(sweep.definition_json || "{}") as { program?: unknown; command?: unknown };
    return Boolean(definition.program ?? definition.command);
  } catch {
    return true;
  }
}
