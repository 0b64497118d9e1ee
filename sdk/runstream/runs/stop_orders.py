"""The orders to stop that reach a run: from the server through its stream, or from its sweep's agent."""

from __future__ import annotations

from runstream.base.notices import Notices
from runstream.runs import active_trial
from runstream.runs.active_trial import ActiveTrial
from runstream.runs.recorder import Recorder


class StopOrders:
    """Tells a run whether it must stop."""

    def __init__(self, run_id: str, recorder: Recorder, trial: ActiveTrial | None, notices: Notices) -> None:
        self._run_id = run_id
        self._recorder = recorder
        self._trial = trial
        self._notices = notices

    @property
    def requested(self) -> bool:
        """Whether the server asked this run to stop, through its stream."""
        stream = self._recorder.stream
        return bool(stream and stream.state.read().stop_requested)

    def read_stream(self) -> None:
        """Stop a sweep's trial when the order to stop has come through the stream.

        The order may come through the stream sooner than through the agent, and a trial may have no agent.
        """
        stream = self._recorder.stream
        if self._trial is None or self._trial.order is not None or stream is None:
            return
        order = stream.stop_order()
        if order is not None:
            if active_trial.current is None:  # no agent in this process prints it
                self._notices.say(f"run {self._run_id} is to stop: {order.reason}")
            self._trial.stop(order)

    def should_stop(self) -> bool:
        """Return whether the run must end. From then on `log()` does not raise TrialStopped."""
        self.read_stream()
        if self._trial is None:
            return self.requested
        return self._trial.asked_to_stop()
