"""Code that the services share: configuration, the bus, storage, the control database, logs, metrics, health."""
