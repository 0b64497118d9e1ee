"""Decide which settings of a client are accepted, ignored, or refused."""

from __future__ import annotations

import re
from collections.abc import Mapping

from runstream_common.clickhouse.http_protocol import PROTOCOL_ONLY, BadRequestError

_TAKEN = re.compile(
    r"output_format_(?!schema)\w+|date_time_output_format|format_csv_delimiter|format_tsv_null_representation|"
    r"format_csv_null_representation|bool_(?:true|false)_representation|session_timezone|limit|offset|extremes|"
    r"join_use_nulls|group_by_use_nulls|union_default_mode|prefer_column_name_to_alias|final|max_result_rows|"
    r"max_block_size|empty_result_for_aggregation_by_empty_set"
)
"""Settings that format the answer, or choose among harmless meanings."""
_IGNORED = re.compile(
    r"send_progress_in_http_headers|http_\w+|log_\w+|input_format_\w+|async_insert|wait_for_async_insert|readonly|"
    r"max_threads|max_memory_usage|max_bytes_to_read|max_rows_to_read|cancel_http_readonly_queries_on_client_close|"
    r"network_\w+|add_http_cors_header|priority|max_insert_block_size|output_format_schema|allow_experimental_\w+_type|"
    r"enable_json_type|enable_time_time64_type"
)
"""Settings that clients send by default; the server ignores them and chooses the values itself."""
_MAX_LENGTH = 200


def chosen(query: Mapping[str, str]) -> tuple[dict[str, str], float | None]:
    """Return the settings among the URL's parameters, and the seconds that the client allows. Raise BadRequestError."""
    settings: dict[str, str] = {}
    seconds: float | None = None
    for name, value in query.items():
        if name in PROTOCOL_ONLY or name.startswith("param_"):
            continue
        if name == "max_execution_time":
            seconds = _seconds(value)
        elif _TAKEN.fullmatch(name) and len(value) <= _MAX_LENGTH:
            settings[name] = value
        elif not _IGNORED.fullmatch(name):
            raise BadRequestError(f"the setting {name[:80]!r} cannot be set by a client", 164, "READONLY", 403)
    return settings, seconds


def _seconds(value: str) -> float | None:
    try:
        seconds = float(value)
    except ValueError:
        raise BadRequestError("max_execution_time is not a number", 36, "BAD_ARGUMENTS") from None
    return seconds if seconds > 0 else None
