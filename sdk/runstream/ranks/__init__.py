"""Which process of a distributed job this is, and which run the job's processes share."""
