"""Values of a run's fields, config and summary on their way into the stream."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runstream.base.json_text import dumps
from runstream.base.notices import Notices
from runstream.base.plain import to_plain
from runstream.capture.masking import mask_config


class FieldWriter:
    """Writes single values of the run's document. Secrets of the config are masked where the settings want it."""

    def __init__(
        self, append: Callable[[str, dict[str, object]], None], notices: Notices, *, mask_secrets: bool
    ) -> None:
        """Take the function that appends a record of a kind."""
        self._append = append
        self._notices = notices
        self._mask_secrets = mask_secrets

    def set_run(self, name: str, value: object) -> None:
        self._set("SECTION_RUN", name, value)

    def set_config(self, key: str, value: object) -> None:
        self._set("SECTION_CONFIG", key, self.without_secrets(to_plain(value), key))

    def set_summary(self, key: str, value: object) -> None:
        self._set("SECTION_SUMMARY", key, value)

    def delete_summary(self, key: str) -> None:
        self._append("field", {"section": "SECTION_SUMMARY", "key": key, "deleted": True})

    def without_secrets(self, value: object, key: str = "") -> Any:
        """Return the form of a config value that is recorded."""
        kept = mask_config(value, key) if self._mask_secrets else value
        if kept != value:
            self._notices.complain("secret", "config: what looks like a secret is recorded as ***; see mask_secrets")
        return kept

    def _set(self, section: str, key: str, value: object) -> None:
        self._append("field", run_field(section, key, value))


def run_field(section: str, key: str, value: object) -> dict[str, object]:
    """Return the record of a field's value."""
    return {"section": section, "key": key, "value_json": dumps(value)}
