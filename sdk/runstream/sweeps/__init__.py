"""Sweeps from the side of the workers: agents, the command line, ask and tell.

`client` sends requests to the server; `session` is an agent's part of the contract (leases, heartbeats, ends);
`functions` and `commands` run the trials; `guard` ensures that no program outlives its agent.
"""
