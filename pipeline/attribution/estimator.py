"""An estimator turns subset models into datamodels: first what all outputs share, then what each block of outputs needs."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from pipeline.attribution.datamodel import Datamodel
from pipeline.attribution.evidence import Block, Evidence
from pipeline.core.arrays import HeldoutOutputs
from pipeline.core.errors import ConfigError
from pipeline.core.registry import Plugin

Arrays = Mapping[str, np.ndarray]


class Estimator(Plugin):
    """Fits datamodels.

    `needs` names the evidence it reads: `subset` is masks and outputs of the subset models, `groups` the lines of groups that scouts see,
    `checkpoints` the scouts themselves.
    `scalars` names what fit returns as one number for each output; reports and scores read nothing else of it.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"subset"})
    scalars: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def factor(self, evidence: Evidence) -> Arrays:
        """Return what all outputs share, as arrays of one length."""

    @abstractmethod
    def fit(self, factor: Arrays, evidence: Evidence, block: Block) -> Arrays:
        """Return what is learnt of each output, as arrays (n_outputs, …); `r2`, if there, is the share of variance explained on models left out."""

    @abstractmethod
    def datamodel(self, factor: Arrays, fit: Arrays, evidence: Evidence, block: Block) -> Datamodel:
        """Return the datamodel of a block of outputs from what factor and fit returned for it."""

    def predict_heldout(self, factor: Arrays, fit: Arrays, evidence: Evidence, block: Block) -> HeldoutOutputs:
        """Return the predicted outputs (n_heldout, n_outputs) of the held-out masks; raises ConfigError where there are none."""
        if evidence.heldout is None:
            raise ConfigError("there are no held-out models to predict; set populations.heldout")
        return self.datamodel(factor, fit, evidence, block).predict(evidence.heldout)
