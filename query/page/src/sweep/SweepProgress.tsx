// The progress of a sweep: a bar of its trials by state, rate, time left, agents.
import type { Sweep, SweepSummary } from "../api/contract";
import { count, formatDuration, formatNumber, formatTime, toNumber } from "../lib/format";
import { COUNT_ORDER, endedCount, totalCount } from "./stateBadges";

export function SweepProgress({ sweep, summary }: { sweep: Sweep; summary: SweepSummary }) {
  const size = Number(sweep.size);
  const barLength = Math.max(size, totalCount(sweep.counts) - Number(sweep.counts?.added ?? 0), 1);
  const ended = endedCount(sweep.counts);
  const amounts = COUNT_ORDER.map((name) => [name, Number(sweep.counts?.[name] ?? 0)] as const).filter(
    ([, amount]) => amount > 0,
  );
  const description =
    amounts.map(([name, amount]) => `${amount.toLocaleString("en-US")} ${name}`).join(", ") || "no trials yet";
  const rate = toNumber(summary.trials_per_hour);
  const pending = Number(summary.values_pending);
  const missing = Number(summary.values_missing);
  return (
    <section class="sweep-progress" aria-label="Progress">
      <div
        class="progress"
        role="img"
        aria-label={`${ended} of ${size ? `${size} ` : ""}trials have ended: ${description}`}
      >
        {amounts.map(([name, amount]) => (
          <i key={name} class={name} style={{ width: `${(amount / barLength) * 100}%` }} />
        ))}
      </div>
      <ul class="progress-facts">
        <li>
          <b class="numeric">{ended.toLocaleString("en-US")}</b>{" "}
          {size
            ? `of ${sweep.size_is_limit ? "at most " : ""}${size.toLocaleString("en-US")} trials`
            : "trials, without a limit"}
        </li>
        {amounts.map(([name, amount]) => (
          <li key={name}>
            <i class={`mark ${name}`} aria-hidden="true" />
            <span class="numeric">{amount.toLocaleString("en-US")}</span> {name}
          </li>
        ))}
        {Number(sweep.counts?.added ?? 0) > 0 && <li>{count(Number(sweep.counts!.added), "added result")}</li>}
        {rate > 0 && <li class="quiet">{formatNumber(rate, 3)} per hour</li>}
        {summary.eta_s !== undefined && <li class="quiet">about {formatDuration(toNumber(summary.eta_s))} left</li>}
        {sweep.state !== "SWEEP_STATE_FINISHED" && sweep.state !== "SWEEP_STATE_CANCELLED" && (
          <li class="quiet">{count(Number(summary.agents), "active agent")}</li>
        )}
        {pending > 0 && <li class="quiet">{count(pending, "pending value")}</li>}
        {missing > 0 && <li class="warn-text">{count(missing, "trial")} never logged the metric</li>}
        {sweep.started && <li class="quiet wide-only">since {formatTime(sweep.started)}</li>}
      </ul>
      {sweep.reason && <p class="quiet">{sweep.reason}</p>}
      {sweep.notes.map((note) => (
        <p class="quiet" key={note}>
          {note}
        </p>
      ))}
    </section>
  );
}
