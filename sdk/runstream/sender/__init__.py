"""The sender: one process for each node and spool folder that sends every stream of the node to its gateway.

It is elected by a lock file, started by the first process that needs it, detached, and ends by itself when nothing is
left to send. The training process imports only `spawn` of this package.
"""
