"""The tables of an experiment: what determines each of them, and which of them exist."""
