"""The sender: one process a node and spool folder that carries every stream of the node to its gateway.

It is elected by a lock file, started by whoever comes first, detached, and ends by itself when nothing is
left to send. The training process imports nothing of this but `spawn`.
"""
