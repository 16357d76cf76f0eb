"""What moves a convex model to where it would be without some points; a new removal is one file and one line in the table here."""

from pipeline.convex.removals.base import Removal
from pipeline.convex.removals.descent_to_delete import DescentToDelete
from pipeline.convex.removals.gradient import GradientAscentRemoval, GradientDescent, ProjectedGradient
from pipeline.convex.removals.influence import InfluenceRemoval
from pipeline.convex.removals.matching import DatamodelMatchingRemoval, OracleMatchingRemoval
from pipeline.convex.removals.newton import Newton
from pipeline.convex.removals.projective_residual import ProjectiveResidual
from pipeline.convex.removals.retrain import Retrain
from pipeline.core.registry import Table

REMOVALS = Table(
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
