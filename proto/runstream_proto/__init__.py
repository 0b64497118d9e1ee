"""The generated code of the contract: see proto/runstream/v1."""
