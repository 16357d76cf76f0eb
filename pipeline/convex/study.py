"""The whole convex study as settings: which parts of it an experiment has."""

from pipeline.convex.linear import LinearStudy
from pipeline.core.registry import Settings


class ConvexStudy(Settings):
    """The parts of the study; a part that is null is left out."""

    linear: LinearStudy | None = LinearStudy()
