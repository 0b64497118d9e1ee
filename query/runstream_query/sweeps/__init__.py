"""Sweeps: what a definition says (`definition.py`, `space.py`), how trials are drawn (`grid.py`, `chance.py`,
`gaussian.py`, `tpe.py`), when they are stopped early (`hyperband.py`), what they came to (`results.py`), and how agents
are served (`lanes.py`, `keeper.py`). The first three are pure: they know no database and no network."""
