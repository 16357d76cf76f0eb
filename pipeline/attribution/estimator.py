"""The estimator plug-in: evidence in, datamodel out. What all outputs share is computed once (`factor`), the rest block by block."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from pipeline.attribution.datamodel import Datamodel
from pipeline.core.arrays import Masks, Outputs
from pipeline.core.registry import Plugin

Arrays = Mapping[str, np.ndarray]


class Estimator(Plugin):
    """Fits datamodels from subset models.

    `needs` names the evidence it reads; `subset` is masks and outputs of the subset models.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"subset"})

    @abstractmethod
    def factor(self, masks: Masks) -> Arrays:
        """Return what all outputs share, as arrays with one leading axis of n_models."""

    @abstractmethod
    def fit(self, factor: Arrays, masks: Masks, outputs: Outputs) -> Arrays:
        """Return what is learnt of each output, as arrays (n_outputs,): at least `penalty` and `r2`, the variance explained on models left out."""

    @abstractmethod
    def datamodel(self, factor: Arrays, fit: Arrays, masks: Masks, outputs: Outputs) -> Datamodel:
        """Return the datamodel of a block of outputs from what factor and fit returned for it."""
