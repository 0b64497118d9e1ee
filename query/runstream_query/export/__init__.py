"""Cut exported rows into files and messages."""
