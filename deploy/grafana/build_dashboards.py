"""Write the dashboards: `python deploy/grafana/build_dashboards.py [FOLDER]`. Their JSON is committed; a test compares."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from boards import curves_board, ingest_board, project_board, ranks_board, sweep_board, system_board


def main(folder: Path) -> int:
    for board in (project_board, curves_board, system_board, ranks_board, sweep_board, ingest_board):
        made = board.make()
        text = json.dumps(made, indent=2, ensure_ascii=False) + "\n"
        (folder / f"{made['uid'].removeprefix('runstream-')}.json").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "dashboards"))
