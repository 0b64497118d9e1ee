"""The run that this process writes: its start, `log()`, its stream in the spool, and its end."""
