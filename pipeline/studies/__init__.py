"""Studies: guests of an experiment. A new one is a class and one line in the table here."""

from pipeline.core.registry import Table
from pipeline.studies.base import Study
from pipeline.studies.convex.study import ConvexStudy

STUDIES = Table("study", Study, (ConvexStudy,))
