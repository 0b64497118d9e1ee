"""The generated contract: see proto/runstream/v1."""
