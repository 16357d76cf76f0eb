"""The table of removals: algorithms that change a convex model as if it had never seen some points.

To add a removal, write one file and add one line to the table here.
"""

from pipeline.core.registry import PluginTable
from pipeline.studies.convex.removals.base import Removal
from pipeline.studies.convex.removals.descent_to_delete import DescentToDelete
from pipeline.studies.convex.removals.gradient import (
    GradientAscentRemoval,
    GradientDescent,
    ProjectedGradient,
)
from pipeline.studies.convex.removals.influence import InfluenceRemoval
from pipeline.studies.convex.removals.matching import DatamodelMatchingRemoval, OracleMatchingRemoval
from pipeline.studies.convex.removals.newton import Newton
from pipeline.studies.convex.removals.projective_residual import ProjectiveResidual
from pipeline.studies.convex.removals.retrain import Retrain

REMOVALS = PluginTable(
    "removal",
    Removal,
    (
        Retrain,
        Newton,
        InfluenceRemoval,
        ProjectiveResidual,
        GradientDescent,
        ProjectedGradient,
        GradientAscentRemoval,
        DescentToDelete,
        OracleMatchingRemoval,
        DatamodelMatchingRemoval,
    ),
)
