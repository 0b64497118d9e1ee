"""What is recorded of a process beside its `log()`: the console, and the environment. Secrets are masked."""
