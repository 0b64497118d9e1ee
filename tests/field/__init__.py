"""Small cases after public bug reports of this field: one kind of fault a file, against one live stack."""
