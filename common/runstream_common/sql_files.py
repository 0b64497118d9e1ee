"""Read statements from `.sql` files, which lie in a folder `sql/` beside the module that runs them."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

_COMMENT = re.compile(r"^\s*--[^\n]*\n", re.MULTILINE)


@cache
def read_sql(folder: Path, name: str) -> str:
    """Return the statement of `folder/name.sql` without its comments.

    Driver and engine parse the text again for each query, so that comments would cost time.
    """
    return _COMMENT.sub("", (folder / f"{name}.sql").read_text(encoding="utf-8")).rstrip()
