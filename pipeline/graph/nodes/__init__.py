"""The nodes of an experiment, one file for each kind of table.

What determines it, and how a shard of it is computed.
"""
