"""The query service, which looks for news ten times as often: an hour's updates then take some minutes."""

from __future__ import annotations

import sys

from runstream_query.__main__ import main
from runstream_query.live import limits

if __name__ == "__main__":
    limits.POLL_S = 0.05
    sys.exit(main())
