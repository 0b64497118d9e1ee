"""Define, draw, judge and serve the trials of sweeps.

`definition.py` and `space.py` read a definition; `grid.py`, `chance.py`, `gaussian.py` and `tpe.py` draw trials;
`hyperband.py` stops them early; `results.py` reads their results; `lanes.py` and `keeper.py` serve agents. The modules
that read definitions, draw and judge are pure: they know no database and no network.
"""
