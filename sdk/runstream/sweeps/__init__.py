"""Sweeps from the side of the workers: agents, and an interface for programs that drive trials themselves.

`client` sends requests to the server; `agent_session` is an agent's part of the contract (leases, heartbeats, ends);
`function_agent` and `command_agent` run the trials; `orphan_guard` ensures that no program outlives its agent.
"""
