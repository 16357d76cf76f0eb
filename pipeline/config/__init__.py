"""The settings that a user writes, and the functions that read them."""

from pipeline.config.experiment import BESIDE_IDENTITY, EVIDENCE, PLACES, Experiment
from pipeline.config.reading import build, origin, read, read_tree

__all__ = ["BESIDE_IDENTITY", "EVIDENCE", "PLACES", "Experiment", "build", "origin", "read", "read_tree"]
