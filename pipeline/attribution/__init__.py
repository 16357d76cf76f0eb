"""The table of estimators. They fit datamodels, which predict outputs of models trained on other subsets."""

from pipeline.attribution.estimator import Estimator
from pipeline.attribution.gradients.influence import GroupInfluence
from pipeline.attribution.gradients.trak import Trak
from pipeline.attribution.lasso.lasso import Lasso
from pipeline.attribution.linear.combined import Combined
from pipeline.attribution.linear.difference import DifferenceOfMeans
from pipeline.attribution.linear.kernel import GroupKernel
from pipeline.attribution.linear.local import LocalRidge
from pipeline.attribution.matrix import AttributionFile
from pipeline.attribution.ridge import Ridge
from pipeline.core.registry import PluginTable

ESTIMATORS = PluginTable(
    "estimator",
    Estimator,
    (
        GroupKernel,
        Ridge,
        Lasso,
        LocalRidge,
        Combined,
        DifferenceOfMeans,
        Trak,
        GroupInfluence,
        AttributionFile,
    ),
)
