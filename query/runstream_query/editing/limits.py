"""How large what people write may be, each limit with its reason."""

from __future__ import annotations

MAX_RUNS = 1000
"""In one change: as many as a page of a list, and as a deletion."""
MAX_NAME_CHARACTERS = 256
"""Of a run: it stands in legends and lists."""
MAX_LINE_CHARACTERS = 128
"""Of a group, a job type, a tag, the name of a view or report."""
MAX_TAGS = 64
"""Of a run: each is shown in the table's cell."""
MAX_NOTES_BYTES = 64 << 10
MAX_DESCRIPTION_BYTES = 16 << 10
"""Of a project: it comes with every list of projects."""
MAX_DOCUMENT_BYTES = 256 << 10
"""Of the config or summary keys in one change, as JSON."""
MAX_KEYS = 1000
MAX_KEY_BYTES = 1024
"""As a metric's name."""
MAX_VIEW_BYTES = 16 << 10
"""It becomes a URL, and servers and proxies take no longer ones."""
MAX_REPORT_BYTES = 256 << 10
"""A book's chapter of text; its panels are drawn when they are seen."""
