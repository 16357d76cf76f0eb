"""A fitted datamodel of one block of outputs: what predicts them from a mask. Masks are raw 0/1; all centring is inside."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from pipeline.core.arrays import Indices, Masks, Outputs, PerOutput


@dataclass(frozen=True)
class Effect:
    """Predicted change of each output when points are removed from the full training set: mean and standard error, both (n_outputs,)."""

    mean: PerOutput
    standard_error: PerOutput


@runtime_checkable
class Datamodel(Protocol):
    """What every fitted datamodel answers."""

    def predict(self, masks: Masks) -> Outputs:
        """Return predicted outputs (n_models, n_outputs) for raw masks (n_models, n_train)."""
        ...

    def effect_of_removing(self, indices: Indices) -> Effect:
        """Return the predicted change of each output when the training points in indices are removed."""
        ...

    def weights(self) -> Float[np.ndarray, "n_train n_outputs"]:
        """Return one weight for each training point and output; costs n_train × n_outputs of memory, so ask for few outputs."""
        ...
