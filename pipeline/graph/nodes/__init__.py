"""The nodes of an experiment, one file for each kind of table.

A node states what determines its table and how a shard of it is computed.
"""
