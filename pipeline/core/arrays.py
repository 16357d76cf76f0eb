"""The array types of the project, each axis named once; they are checked in the tests and cost nothing elsewhere."""

from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Int

Masks: TypeAlias = Bool[np.ndarray, "n_models n_train"]
HeldoutMasks: TypeAlias = Bool[np.ndarray, "n_heldout n_train"]
Mask: TypeAlias = Bool[np.ndarray, " n_train"]
Indices: TypeAlias = Int[np.ndarray, " _"]
Labels: TypeAlias = Int[np.ndarray, " n_points"]
Logits: TypeAlias = Float[np.ndarray, "n_models n_points n_classes"]
Margins: TypeAlias = Float[np.ndarray, "n_models n_points"]
OracleMargins: TypeAlias = Float[np.ndarray, "n_oracles n_points"]
Effects: TypeAlias = Float[np.ndarray, "n_points n_classes"]
Outputs: TypeAlias = Float[np.ndarray, "n_models n_outputs"]
HeldoutOutputs: TypeAlias = Float[np.ndarray, "n_heldout n_outputs"]
PerTrain: TypeAlias = Float[np.ndarray, " n_train"]
PerPoint: TypeAlias = Float[np.ndarray, " n_points"]
PerOutput: TypeAlias = Float[np.ndarray, " n_outputs"]
