"""The SDK's version, as it goes over the wire; a test holds it to `pyproject.toml`."""

VERSION = "0.1.0"
