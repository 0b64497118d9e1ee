"""One module a topic: classes whose methods are those of `QueryService` that belong together."""
