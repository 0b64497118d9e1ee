"""The narrow views of a stored run that the functions behind its methods need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from runstream_proto.v1 import query_pb2 as pb


class RunReference(Protocol):
    """What a request needs to name a run."""

    id: str
    entity: str
    project: str


class Summarized(RunReference, Protocol):
    """A run with its summary."""

    @property
    def summary(self) -> dict[str, Any]:
        """Each metric's last value, overlaid by what was set."""
        ...


class Editable(RunReference, Protocol):
    """A run as it was read, with the values that were set since."""

    name: str
    notes: str
    group: str
    job_type: str
    tags: list[str]

    @property
    def message(self) -> pb.Run:
        """The message that the server sent."""
        ...

    def document(self, section: str) -> dict[str, Any]:
        """Return `config` or `summary` as the server has it."""
        ...
