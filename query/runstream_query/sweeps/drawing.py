"""Prepare configurations of new trials for the control database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runstream_common.control.sweeps.model import Proposal
from runstream_query.sweeps.space import Space, as_json, digest


def proposal(space: Space, chosen: Mapping[str, Any]) -> Proposal:
    nested = space.nest(chosen)
    return Proposal(as_json(nested), digest(nested))
