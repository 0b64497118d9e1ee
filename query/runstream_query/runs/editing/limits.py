"""Limit the sizes of texts that users write, each limit with its reason."""

from __future__ import annotations

MAX_RUNS = 1000
"""Runs in one change: as many as a page of a list has, and as a deletion takes."""
MAX_NAME_CHARACTERS = 256
"""The name of a run: it stands in legends and lists."""
MAX_LINE_CHARACTERS = 128
"""A group, a job type, a tag, or the name of a view or report."""
MAX_TAGS = 64
"""Tags of a run: each is shown in the table's cell."""
MAX_NOTES_BYTES = 64 << 10
MAX_DESCRIPTION_BYTES = 16 << 10
"""The description of a project: every list of projects contains it."""
MAX_DOCUMENT_BYTES = 256 << 10
"""The config or summary keys in one change, as JSON."""
MAX_KEYS = 1000
MAX_KEY_BYTES = 1024
"""A key may be as long as a metric's name."""
MAX_VIEW_BYTES = 16 << 10
"""A view becomes a URL, and servers and proxies refuse longer ones."""
MAX_REPORT_BYTES = 256 << 10
"""A report may hold as much text as a chapter of a book; its panels are drawn only when they are seen."""
