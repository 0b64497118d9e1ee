"""Serves the methods, sessions, media and the page over HTTP."""
