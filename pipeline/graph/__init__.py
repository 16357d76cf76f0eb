"""The graph of an experiment: which tables it has, what determines each of them, and what of them exists."""
