"""The nodes of an experiment, one file a group: what each computes for one shard, from which parents, under which settings."""
