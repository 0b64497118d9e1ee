"""Projects, as the server stores them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runstream.api.listing import StoredRuns

if TYPE_CHECKING:
    from typing import Unpack

    from runstream.api.connection import Connection
    from runstream.api.listing import RunsOptions
    from runstream_proto.v1 import query_pb2 as pb


class Project:
    """A project of a team."""

    def __init__(self, api: Connection, found: pb.Project) -> None:
        self._api = api
        self.entity = found.team
        self.name = found.name
        self.run_count = found.runs
        self.description = found.description
        """The description in Markdown; set it, then call `update()`."""

    @property
    def path(self) -> str:
        return f"{self.entity}/{self.name}"

    def runs(self, **options: Unpack[RunsOptions]) -> StoredRuns:
        """See `Api.runs`."""
        return StoredRuns(self._api, self.path, **options)

    def update(self) -> None:
        """Send the description. Raises PermissionDeniedError, InvalidRequestError."""
        from runstream_proto.v1 import saved_pb2 as pb

        request = pb.UpdateProjectRequest(team=self.entity, project=self.name, description=self.description)
        self._api.ask("UpdateProject", request)

    def delete(self) -> int:
        """Delete the project with all its runs, for good, and return how many runs it had.

        Needs an admin of the team.
        """
        from runstream_proto.v1 import query_pb2 as pb

        request = pb.DeleteProjectRequest(team=self.entity, project=self.name)
        answer: pb.DeleteResponse = self._api.ask("DeleteProject", request)
        return answer.runs

    def set_retention(self, days: int) -> int:
        """Let the server delete runs that sent nothing for `days` days; 0 keeps them for ever.

        Returns the former number of days. Needs an admin of the team.
        """
        from runstream_proto.v1 import query_pb2 as pb

        request = pb.SetRetentionRequest(team=self.entity, project=self.name, days=days)
        answer: pb.SetRetentionResponse = self._api.ask("SetRetention", request)
        return answer.days

    def __repr__(self) -> str:
        return f"Project({self.path!r}, runs={self.run_count})"
