"""Studies: guests of an experiment. A new one is a class and one line in the table here."""

from pipeline.core.registry import PluginTable
from pipeline.studies.base import Study
from pipeline.studies.convex.study import ConvexStudy

STUDIES = PluginTable("study", Study, (ConvexStudy,))
