"""Prepare configurations of new trials for the control database."""

from __future__ import annotations

from collections.abc import Mapping

from runstream_control.sweeps.model import Proposal
from runstream_query.sweeps.search_space import SearchSpace, as_json, digest


def proposal(space: SearchSpace, chosen: Mapping[str, object]) -> Proposal:
    nested = space.nest(chosen)
    return Proposal(as_json(nested), digest(nested))
