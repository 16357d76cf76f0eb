"""What predicts the outputs of models trained on other subsets: estimators of linear datamodels, and their score."""

from pipeline.attribution.combined import Combined
from pipeline.attribution.difference import DifferenceOfMeans
from pipeline.attribution.estimator import Estimator
from pipeline.attribution.influence import GroupInfluence
from pipeline.attribution.kernel import GroupKernel
from pipeline.attribution.lasso import Lasso
from pipeline.attribution.local import LocalRidge
from pipeline.attribution.matrix import AttributionFile
from pipeline.attribution.ridge import Ridge
from pipeline.attribution.trak import Trak
from pipeline.core.registry import Table

ESTIMATORS = Table(
    "estimator",
    Estimator,
    (GroupKernel, Ridge, Lasso, LocalRidge, Combined, DifferenceOfMeans, Trak, GroupInfluence, AttributionFile),
)
