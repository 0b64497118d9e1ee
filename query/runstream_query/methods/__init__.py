"""Groups the methods of the services by topic: each module has a class with the methods that belong together."""
