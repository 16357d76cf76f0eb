"""The walk, which computes the missing shards of a graph, and the executors that run its tasks."""
