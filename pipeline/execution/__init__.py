"""The walk over the graph that computes what is missing, and the executors that run its tasks."""
