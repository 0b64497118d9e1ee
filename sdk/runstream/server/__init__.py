"""What a training process knows of its server: the API keys on disk, `login()`, and requests over plain HTTP."""
