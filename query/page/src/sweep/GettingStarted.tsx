// What to paste: to make a sweep, to work on it, to take its best away.
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
    <EmptyState title="Make your first sweep">
      <p>
        Say what to search in <code>sweep.yaml</code>; in <code>train.py</code>, <code>runstream.init().config</code>{" "}
        has the values of each trial:
      </p>
      <CodeBlock text={yaml} label="sweep.yaml" />
      <p>Make it, and start as many agents as you like with the command that it prints:</p>
      <CodeBlock text={shell} label="shell commands" />
      <p class="quiet">W&amp;B's sweep configurations work as they are. The sweep appears here by itself.</p>
    </EmptyState>
  );
}

/** `team/project/ID`, as the commands take it. */
export function fullName(sweep: Sweep): string {
  return `${sweep.team}/${sweep.project}/${sweep.id}`;
}

export function StartAgent({ sweep }: { sweep: Sweep }) {
  const shell = `export RUNSTREAM_BASE_URL=${location.origin}
export RUNSTREAM_API_KEY=...${KEY}
runstream agent ${fullName(sweep)}`;
  const code = `import runstream

runstream.agent("${fullName(sweep)}", train)   # train(): your function; it calls runstream.init()`;
  return (
    <>
      <p>
        {hasProgram(sweep)
          ? "On each machine that is to work on it, beside the program:"
          : "The sweep names no program: work on it with a function."}
      </p>
      {hasProgram(sweep) ? (
        <CodeBlock text={shell} label="commands that start an agent" />
      ) : (
        <CodeBlock text={code} label="code that starts an agent" />
      )}
      <p class="quiet">Several agents share the sweep; one that dies gives its trial back.</p>
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
