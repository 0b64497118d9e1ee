"""Run a service: configuration, logs, metrics, health, TLS, and how its process begins and ends."""
