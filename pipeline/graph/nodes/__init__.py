"""The nodes of an experiment, one file for each kind of table: what determines it, and how a shard of it is computed."""
