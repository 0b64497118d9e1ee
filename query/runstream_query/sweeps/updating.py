"""Check the changes to an existing sweep: the parts from which its trials were drawn cannot be changed."""

from __future__ import annotations

from collections.abc import Mapping

from runstream_proto.v1 import sweep_pb2 as pb
from runstream_query.base.errors import InvalidRequestError
from runstream_query.sweeps import definition as definitions
from runstream_query.sweeps import definition_fields
from runstream_query.sweeps.errors import refuse
from runstream_query.sweeps.limits import MAX_DESCRIPTION, MAX_NAME

CHANGEABLE = ("name", "description", "run_cap", "max_parallel", "retries", "budget")
"""Keys of the configuration that may be changed; besides, early_terminate may be left out."""
_PLACE = ("project", "entity", "apiVersion", "kind", "controller")
"""Keys that are not compared: they say where the sweep was made, or mean nothing here."""
_CREATE_ANOTHER = (
    "cannot be changed: the sweep's trials were drawn from it. Create another sweep; with --prior-run (AddTrials) it "
    f"learns from the runs of this one. You can change {', '.join(CHANGEABLE)}, and remove early_terminate"
)


def changed_columns(request: pb.UpdateSweepRequest, now: Mapping[str, object]) -> dict[str, object]:
    """Return the columns to set. `now` is the configuration in force. Raise DefinitionError, InvalidRequestError."""
    if not request.definition_json:
        return _of_fields(request)
    if len(request.ListFields()) > 2:
        raise InvalidRequestError("definition_json holds all changes: leave the other fields out")
    return _of_definition(request.definition_json, now)


def _of_definition(text: str, now: Mapping[str, object]) -> dict[str, object]:
    wanted = definitions.parse(text)
    config = wanted.config
    for key in sorted((set(config) | set(now)) - {*CHANGEABLE, *_PLACE}):
        if key == "early_terminate" and config.get(key) is None:
            continue
        if config.get(key) != now.get(key):
            refuse(_first_difference(key, now.get(key), config.get(key)), _CREATE_ANOTHER)
    return {
        "name": wanted.name,
        "description": wanted.description,
        "run_cap": wanted.run_cap,
        "max_parallel": wanted.max_parallel,
        "retries": wanted.retries,
        "wall_time_s": wanted.budget.wall_time_s,
        "trial_time_s": wanted.budget.trial_time_s,
        "cost_limit": wanted.budget.cost,
        **({"early_off": True} if "early_terminate" in now and config.get("early_terminate") is None else {}),
    }


def _first_difference(path: str, now: object, wanted: object) -> str:
    """Return the path of the innermost key that differs, such as `parameters.lr.max`."""
    if isinstance(now, dict) and isinstance(wanted, dict):
        for key in (*now, *wanted):
            if now.get(key) != wanted.get(key):
                return _first_difference(f"{path}.{key}", now.get(key), wanted.get(key))
    return path


def _of_fields(request: pb.UpdateSweepRequest) -> dict[str, object]:
    found: dict[str, object] = {}
    if request.HasField("name"):
        found["name"] = definition_fields.text("name", request.name, MAX_NAME)
    if request.HasField("description"):
        found["description"] = definition_fields.text("description", request.description, MAX_DESCRIPTION)
    if request.HasField("run_cap"):
        found["run_cap"] = definition_fields.integer("run_cap", request.run_cap, 0) or None
    if request.HasField("max_parallel"):
        found["max_parallel"] = definition_fields.integer("max_parallel", request.max_parallel, 0) or None
    if request.HasField("retries"):
        found["retries"] = definition_fields.integer("retries", request.retries, 0, 100)
    if request.HasField("wall_time_s"):
        found["wall_time_s"] = _limit("wall_time_s", request.wall_time_s)
    if request.HasField("trial_time_s"):
        found["trial_time_s"] = _limit("trial_time_s", request.trial_time_s)
    if request.HasField("cost"):
        found["cost_limit"] = _limit("cost", request.cost)
    if request.early_terminate_off:
        found["early_off"] = True
    return found


def _limit(name: str, value: float) -> float | None:
    if definition_fields.number(name, value) < 0:
        raise InvalidRequestError(f"{name} is {value}: give a number above 0, or 0 for no limit")
    return value or None
