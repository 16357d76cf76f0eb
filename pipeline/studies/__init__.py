"""The table of studies. To add a study, write a class and add a line to this table."""

from pipeline.core.registry import PluginTable
from pipeline.studies.base import Study
from pipeline.studies.convex.study import ConvexStudy

STUDIES = PluginTable("study", Study, (ConvexStudy,))
