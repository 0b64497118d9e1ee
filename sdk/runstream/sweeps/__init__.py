"""Sweeps from the side of those who work on them: agents, the command line, ask and tell.

`client` asks the server; `session` is an agent's part of the contract (leases, heartbeats, ends); `functions` and
`commands` run the trials; `guard` sees to it that no program outlives its agent.
"""
