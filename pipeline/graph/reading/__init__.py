"""Functions that read the tables of nodes for other nodes and for judges, and the form of these tables."""
