"""Scaling of inputs, computed for each batch, so that the data set itself can keep pixels of one byte."""

import numpy as np
from jaxtyping import Float
from pydantic import model_validator

from pipeline.core.errors import DataError
from pipeline.core.registry import Settings
from pipeline.core.settings.neutral import setting

Term = Float[np.ndarray, "..."]


class Scaling(Settings):
    """Models see (input / divide_by - mean) / std, in float32.

    mean and std hold one number for all channels, or one for each channel, which is the first axis of an
    input. An empty mean stands for 0, an empty std for 1.
    """

    divide_by: float = setting(neutral=1.0, gt=0, le=1e9)
    mean: tuple[float, ...] = setting(neutral=(), max_length=10_000)
    std: tuple[float, ...] = setting(neutral=(), max_length=10_000)

    @model_validator(mode="after")
    def _check(self) -> "Scaling":
        if any(value <= 0 for value in self.std):
            raise ValueError(f"std holds {min(self.std)}; expected numbers above 0")
        return self

    def check(self, input_shape: tuple[int, ...]) -> None:
        """Raise DataError unless mean and std fit inputs of this shape."""
        for name in ("mean", "std"):
            n_given, n_channels = len(getattr(self, name)), input_shape[0] if input_shape else 1
            if n_given not in (0, 1, n_channels):
                shown = f"{name} has {n_given} numbers, an input has shape {input_shape}"
                raise DataError(f"{shown}; give one number, or {n_channels}, one for each channel")

    def terms(self, input_shape: tuple[int, ...]) -> tuple[Term, Term, Term]:
        """Return divide_by, mean and std as float32 arrays that broadcast over inputs of this shape."""
        n_axes = len(input_shape)

        def term(values: tuple[float, ...], empty: float) -> Term:
            found = np.array(values or (empty,), np.float32)
            return found.reshape(-1, *[1] * (n_axes - 1)) if n_axes else found

        return term((self.divide_by,), 1.0), term(self.mean, 0.0), term(self.std, 1.0)
