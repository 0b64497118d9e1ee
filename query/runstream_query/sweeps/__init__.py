"""Define sweeps, draw their trials, judge them, and serve agents.

`definition.py` and `search_space.py` read a definition; the modules of `search/` draw trials;
`hyperband.py` decides which to stop early; `results.py` reads their results; `agent_coordinator.py` and `supervisor.py`
serve agents. The modules that read definitions, draw and judge are pure: they use no database and no network.
"""
