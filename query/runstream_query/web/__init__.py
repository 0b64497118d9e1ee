"""The HTTP side of the query service: the methods, sessions, media, and the page."""
