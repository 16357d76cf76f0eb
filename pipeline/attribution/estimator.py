"""An estimator turns subset models into datamodels.

First what all outputs share, then what each block of outputs needs.
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
# The outputs of a model that datamodels may predict: the logit of every class at every point, and the margin
# there.
OUTPUTS = frozenset({"logits", "margins"})
# Names in the fit table that are not for estimators.
MARGIN_R2, HELDOUT_MARGINS = "margin_r2", "heldout_margins"
RESERVED = frozenset({MARGIN_R2, HELDOUT_MARGINS})


class Estimator(Plugin):
    """Fits datamodels.

    `needs` names the evidence it reads: `subset` is masks and outputs of the subset models, `groups` the
    lines of groups that scouts see, `views` what they see of all points, `checkpoints` the scouts themselves.
    `scalars` names what fit returns as one number for each output; reports and scores read nothing else of
    it. `takes_fidelities` says whether one fit may learn from models of several kinds, such as a cheap proxy
    and the model that unlearns.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"subset"})
    scalars: ClassVar[tuple[str, ...]] = ()
    takes_fidelities: ClassVar[bool] = False

    def parts(self) -> "tuple[Estimator, ...]":
        """Return the estimators that this one is made of: what they compute turns stale with them."""
        return ()

    def guided_by(self) -> "Guide | None":
        """Return what the effects of sets are drawn towards, which is nothing by default."""
        return None

    def check(self, examples: Examples) -> None:
        """Raise ConfigError or DataError for whatever is wrong before anything is computed, such as a file that does not fit the data."""

    def check_count(self, n_models: int) -> None:
        """Raise ConfigError if so few subset models cannot be learnt from. By default any number can."""

    def check_model(self, build: Builder, examples: Examples) -> None:
        """Raise ConfigError if models of this kind cannot be looked into as this needs, found on one that is not trained. By default nothing is needed."""

    def check_objective(self, objective: object) -> None:
        """Raise ConfigError if what is learnt of models rests on another objective of training.

        By default it rests on none.
        """

    def outputs(self, examples: Examples) -> frozenset[str]:
        """Return which outputs of models it has datamodels of.

        `logits`, which unlearners need, `margins`, or both. See Attribution for what follows.
        """
        return OUTPUTS

    @abstractmethod
    def factor(self, evidence: Evidence) -> Arrays:
        """Return what all outputs share, as arrays of one length."""

    @abstractmethod
    def fit(self, factor: Arrays, evidence: Evidence, block: Block) -> Arrays:
        """Return what is learnt of each output, as arrays (n_outputs, …).

        `r2`, if there, the leave-one-out share of variance explained.
        """

    @abstractmethod
    def datamodel(self, factor: Arrays, fit: Arrays, evidence: Evidence, block: Block) -> Datamodel:
        """Return the datamodel of a block of outputs from what factor and fit returned for it."""

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

        Raises ConfigError where there are none.
        """
        if evidence.heldout is None:
            raise ConfigError("there are no held-out models to predict; set populations.heldout")
        return self.datamodel(factor, fit, evidence, block).predict(evidence.heldout)


def check_arrays(arrays: Arrays, length: int) -> None:
    """Raise ShapeError unless arrays are one or more named arrays (length, ...) of numbers, under names that the fit table leaves free."""
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
    """An estimator that needs nothing but `checkpoints`, and the share of a guided effect that its standard error holds beside noise.

    key: where its settings are, below those of the estimator that it guides.
    """

    estimator: Estimator
    curvature: float
    key: str = "guide"
