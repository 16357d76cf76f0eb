"""The base class of estimators, which fit datamodels.

An estimator first computes the results that all outputs share (`factor`), then the results for each block of
outputs (`fit`). `datamodel` turns both into predictions.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pipeline.attribution.datamodel import Datamodel
from pipeline.attribution.evidence import Block, Evidence
from pipeline.core.arrays import HeldoutOutputs
from pipeline.core.errors import ConfigError, ShapeError
from pipeline.core.registry import Plugin
from pipeline.core.settings.type_hints import describe_value
from pipeline.data.examples import Examples
from pipeline.training.ensemble import Builder

Arrays = Mapping[str, np.ndarray]
# The outputs of a model that datamodels may predict: at every point, the logit of each class, and the margin.
OUTPUTS = frozenset({"logits", "margins"})
# Columns that the pipeline itself adds to the table of fits, so estimators must not use these names.
MARGIN_R2, HELDOUT_MARGINS = "margin_r2", "heldout_margins"
RESERVED = frozenset({MARGIN_R2, HELDOUT_MARGINS})


class Estimator(Plugin):
    """Base class of estimators, which fit datamodels.

    `needs` names the evidence that an estimator reads: `subset` is the masks and outputs of the subset
    models, `groups` the groups of points that look alike or are hard to the scouts, `views` the scouts'
    features of all points, and `checkpoints` the scouts themselves. `scalars` names the results of fit that
    hold one number for each output; reports and scores read no other results. `takes_fidelities` says whether
    one fit may learn from models of several kinds, such as a cheap proxy and the model that unlearns.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"subset"})
    scalars: ClassVar[tuple[str, ...]] = ()
    takes_fidelities: ClassVar[bool] = False

    def parts(self) -> "tuple[Estimator, ...]":
        """Return the estimators that this one is made of, by default none.

        If the revision of a part increases, stored results of this estimator become stale.
        """
        return ()

    def guided_by(self) -> "Guide | None":
        """Return the guide that corrects the effects of removing sets; by default None, for no guide."""
        return None

    def check(self, examples: Examples) -> None:
        """Raise ConfigError or DataError if the settings do not fit the data.

        An example is a file of the wrong size. The check runs before anything is computed.
        """

    def check_count(self, n_models: int) -> None:
        """Raise ConfigError if n_models subset models are too few to learn from.

        By default any number is enough.
        """

    def check_model(self, build: Builder, examples: Examples) -> None:
        """Raise ConfigError if models of this kind lack something that the estimator needs.

        The check uses a model that is not trained. By default nothing is needed.
        """

    def check_objective(self, objective: object) -> None:
        """Raise ConfigError if the estimator relies on another training objective than this one.

        By default any objective is accepted.
        """

    def outputs(self, examples: Examples) -> frozenset[str]:
        """Return the kinds of outputs that the estimator can predict: `logits`, `margins`, or both.

        Unlearners need `logits`. An estimator that predicts only margins can be scored, but not unlearn.
        """
        return OUTPUTS

    @abstractmethod
    def factor(self, evidence: Evidence) -> Arrays:
        """Return the results that all outputs share, as arrays with first axes of equal length."""

    @abstractmethod
    def fit(self, factor: Arrays, evidence: Evidence, block: Block) -> Arrays:
        """Return the results for each output of a block, as arrays (n_outputs, …).

        `r2`, if present, is the share of variance explained on models that were left out of the fit.
        """

    @abstractmethod
    def datamodel(self, factor: Arrays, fit: Arrays, evidence: Evidence, block: Block) -> Datamodel:
        """Return the datamodel of a block of outputs, given the results of factor and fit."""

    def _check_outputs(self, found: frozenset[str], examples: Examples) -> None:
        if not found or not set(found) <= OUTPUTS:
            raise ConfigError(f"it is {sorted(found)}; expected one or both of {', '.join(sorted(OUTPUTS))}")

    def _check_factor(self, found: Arrays, evidence: Evidence) -> None:
        check_arrays(found, len(next(iter(found.values()), ())))

    def _check_fit(self, found: Arrays, factor: Arrays, evidence: Evidence, block: Block) -> None:
        check_arrays(found, block.outputs.shape[1])
        for name in self.scalars:
            if name not in found or found[name].ndim != 1 or not np.isfinite(found[name]).all():
                raise ShapeError(
                    f"`scalars` names {name!r}; expected an array of one finite number for each output under "
                    "that name"
                )

    def _check_predict_heldout(
        self, found: HeldoutOutputs, factor: Arrays, fit: Arrays, evidence: Evidence, block: Block
    ) -> None:
        expected = (len(evidence.heldout) if evidence.heldout is not None else 0, block.outputs.shape[1])
        if found.shape != expected or found.dtype.kind != "f" or not np.isfinite(found).all():
            raise ShapeError(f"it is {describe_value(found)}; expected finite floats of shape {expected}")

    def predict_heldout(
        self, factor: Arrays, fit: Arrays, evidence: Evidence, block: Block
    ) -> HeldoutOutputs:
        """Return the predicted outputs (n_heldout, n_outputs) of the held-out masks.

        Raises ConfigError if there are none.
        """
        if evidence.heldout is None:
            raise ConfigError("there are no held-out models to predict; set populations.heldout")
        return self.datamodel(factor, fit, evidence, block).predict(evidence.heldout)


def check_arrays(arrays: Arrays, length: int) -> None:
    """Raise ShapeError unless arrays are one or more named arrays (length, ...) of numbers.

    The names must not be reserved in the fit table.
    """
    if not arrays:
        raise ShapeError("it holds no array; expected at least one")
    for name, array in arrays.items():
        if name in RESERVED:
            raise ShapeError(f"the name {name!r} is taken; choose another one")
        if array.dtype.kind not in "biuf" or array.ndim == 0 or len(array) != length or 0 in array.shape[1:]:
            raise ShapeError(
                f"{name!r} is {describe_value(array)}; expected numbers of shape ({length}, ...)"
            )


@dataclass(frozen=True, kw_only=True)
class Guide:
    """An estimator whose effects correct those of another estimator; of evidence it needs only `checkpoints`.

    curvature: the part of the standard error of a corrected effect that is not noise, as a share of the
    effect. key: the place of the guide's settings within the settings of the other estimator, such as
    `guide`.
    """

    estimator: Estimator
    curvature: float
    key: str = "guide"
