"""Regression in its dual form.

One m×m eigendecomposition of a kernel between subsets serves every output, penalty and forget set.

With K the centred kernel of the fitted masks and Y the centred outputs, what a datamodel says of anything is
k (K + λI)⁻¹ Y, where k holds the kernel of that thing with the fitted masks. Ridge and kernel datamodels
differ in nothing but the kernel.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float
from typing_extensions import override

from pipeline.attribution.datamodel import Effect, as_indices
from pipeline.attribution.estimator import Arrays, Estimator
from pipeline.attribution.evidence import Block, Evidence, check_masks, check_outputs
from pipeline.core.arrays import HeldoutOutputs, Indices, Masks, Outputs, PerOutput, require_masks
from pipeline.core.settings.neutral import setting

# Single points whose removal is looked at together: each is a mask, and a row as long as there are models.
SINGLES = 4096


class Kernel(ABC):
    """How alike two subsets of the training points are, centred over the fitted masks (n_models, n_train)."""

    @abstractmethod
    def between(self, masks: Bool[np.ndarray, "n_masks n_train"]) -> Float[np.ndarray, "n_masks n_models"]:
        """Return the centred kernel of masks with the fitted ones."""

    @abstractmethod
    def removing(
        self, sets: Sequence[Indices]
    ) -> tuple[Float[np.ndarray, "n_sets n_models"], Float[np.ndarray, " n_sets"]]:
        """Return, for each set, the kernel of what removing it from all points changes with the fitted masks, and with itself."""


class DualEstimator(Estimator):
    """Regression with some kernel.

    What `fit` returns holds `penalty`, `effect_penalty` (absolute) and `amplitude`.
    """

    scalars: ClassVar[tuple[str, ...]] = ("penalty", "effect_penalty", "r2", "amplitude")

    curvature: float = setting(neutral=0.0)

    @abstractmethod
    def kernel(self, evidence: Evidence) -> Kernel:
        """Return the kernel that compares subsets, one and the same as long as the evidence is."""

    def noise(self, fit: Arrays) -> PerOutput:
        """Return the variance of each output about what any mask explains, from what fit returned."""
        return np.asarray(fit["amplitude"] * fit["penalty"])

    def factor(self, evidence: Evidence) -> Arrays:
        """Return `eigenvalues` (n_models,) ascending and `eigenvectors` (n_models, n_models), by column, of K, and `heldout` (n_models, n_heldout) of k."""
        check_masks(evidence.masks)
        asked = (
            evidence.masks if evidence.heldout is None else np.concatenate([evidence.masks, evidence.heldout])
        )
        rows = self.kernel(evidence).between(asked)
        values, vectors = np.linalg.eigh(rows[: len(evidence.masks)])
        found = {"eigenvalues": np.maximum(values, 0.0), "eigenvectors": vectors}
        return found if evidence.heldout is None else found | {"heldout": rows[len(evidence.masks) :].T}

    def datamodel(self, factor: Arrays, fit: Arrays, evidence: Evidence, block: Block) -> "DualDatamodel":
        """Return the datamodel of a block of outputs."""
        check_outputs(evidence.masks, block.outputs)
        return DualDatamodel(
            kernel=self.kernel(evidence),
            evidence=evidence,
            outputs=block.outputs,
            eigenvalues=factor["eigenvalues"],
            eigenvectors=factor["eigenvectors"],
            penalty=fit["penalty"],
            effect_penalty=fit["effect_penalty"],
            amplitude=fit["amplitude"],
            noise=self.noise(fit),
            curvature=self.curvature,
        )

    @override
    def predict_heldout(
        self, factor: Arrays, fit: Arrays, evidence: Evidence, block: Block
    ) -> HeldoutOutputs:
        if "heldout" not in factor:
            return super().predict_heldout(factor, fit, evidence, block)
        return self.datamodel(factor, fit, evidence, block).predict_rows(factor["heldout"].T)


@dataclass(frozen=True, kw_only=True, eq=False)
class DualDatamodel:
    """Datamodels of a block of outputs under one kernel; outputs sharing a penalty share its solve.

    amplitude (n_outputs,): variance of an output for each unit of the kernel. noise (n_outputs,): its
    variance about what any mask explains. curvature: what the kernel does not know of an effect, as a share
    of it, which the standard error adds.
    """

    kernel: Kernel
    evidence: Evidence
    outputs: Outputs
    eigenvalues: Float[np.ndarray, " n_models"]
    eigenvectors: Float[np.ndarray, "n_models n_models"]
    penalty: PerOutput
    effect_penalty: PerOutput
    amplitude: PerOutput
    noise: PerOutput
    curvature: float = 0.0

    def predict(self, masks: Masks) -> Outputs:
        """Return predicted outputs (n_models, n_outputs) for raw 0/1 masks (n_models, n_train)."""
        require_masks("masks", masks, self.evidence.n_train)
        return self.predict_rows(self.kernel.between(masks))

    def predict_rows(
        self, rows: Float[np.ndarray, "n_rows n_models"]
    ) -> Float[np.ndarray, "n_rows n_outputs"]:
        """Return predicted outputs of masks whose kernel with the fitted ones is known."""
        return self._apply(rows, self.penalty) + self.outputs.mean(axis=0, dtype=np.float64)

    def effect_of_removing(self, indices: Indices) -> Effect:
        """Return the predicted change of each output when indices are removed.

        The standard error is that of a normal process with this kernel and noise, solved at effect_penalty,
        beside `curvature` of the effect itself. Raises DataError on ids that are repeated or not training
        points.
        """
        # Sorted, because sums in another order differ in their last bits.
        indices = np.sort(as_indices(indices, self.evidence.n_train))
        changed, prior = self.evidence.once(
            ("removing", self.kernel, *indices.tolist()), lambda: self.kernel.removing([indices])
        )
        mean, standard_error = self._effects(changed, prior)
        return Effect(mean[0], standard_error[0])

    def effects_of_each(
        self,
    ) -> tuple[Float[np.ndarray, "n_train n_outputs"], Float[np.ndarray, "n_train n_outputs"]]:
        """Return what `effect_of_removing` says of each training point alone: means and standard errors."""
        means, errors = zip(
            *(self._effects(changed, prior) for changed, prior in self._removing_each()), strict=True
        )
        return np.concatenate(means), np.concatenate(errors)

    def weights(self) -> Float[np.ndarray, "n_train n_outputs"]:
        """Return what each training point adds to each output.

        The change when it alone is removed, negated, at the penalty of prediction.
        """
        return -np.concatenate([self._apply(changed, self.penalty) for changed, _ in self._removing_each()])

    def intercept(self) -> PerOutput:
        """Return what a linear datamodel with these weights predicts for the empty mask, right on all points together."""
        everything = np.ones((1, self.evidence.n_train), bool)
        return self.predict(everything)[0] - self.weights().sum(axis=0)

    def _removing_each(
        self,
    ) -> Iterator[tuple[Float[np.ndarray, "n_sets n_models"], Float[np.ndarray, " n_sets"]]]:
        """Yield what the kernel says of every training point alone, a few at a time."""
        for start in range(0, self.evidence.n_train, SINGLES):
            stop = min(start + SINGLES, self.evidence.n_train)
            yield self.kernel.removing([np.array([index]) for index in range(start, stop)])

    def _effects(
        self, changed: Float[np.ndarray, "n_sets n_models"], prior: Float[np.ndarray, " n_sets"]
    ) -> tuple[Float[np.ndarray, "n_sets n_outputs"], Float[np.ndarray, "n_sets n_outputs"]]:
        """Return means and standard errors (n_sets, n_outputs) of the effects of sets of which the kernel says this."""
        mean = self._apply(changed, self.effect_penalty)
        penalties, which = np.unique(self.effect_penalty, return_inverse=True)
        squares, shifted = (changed @ self.eigenvectors) ** 2, self.eigenvalues + penalties[:, None]
        shrunk_away = np.maximum(
            prior[:, None] - squares @ ((shifted + penalties[:, None]) / shifted**2).T, 0.0
        )
        variance = (
            self.amplitude * shrunk_away[:, which] + self.noise * (squares @ (1 / shifted**2).T)[:, which]
        )
        return mean, np.sqrt(variance + (self.curvature * mean) ** 2)

    def _apply(
        self, rows: Float[np.ndarray, "n_rows n_models"], penalty: PerOutput
    ) -> Float[np.ndarray, "n_rows n_outputs"]:
        """Return rows (K + λI)⁻¹ Y, each output at its own λ.

        A product with m×m numbers once, whatever the number of distinct penalties.
        """
        values, which = np.unique(penalty, return_inverse=True)
        outputs, rotated = (
            self.outputs - self.outputs.mean(axis=0, dtype=np.float64),
            rows @ self.eigenvectors,
        )
        # Rows, once for each penalty, or outputs go through the eigenvectors again: whichever are fewer.
        by_rows = len(values) * len(rows) < outputs.shape[1]
        if by_rows:
            solved = (
                np.concatenate([rotated / (self.eigenvalues + value) for value in values])
                @ self.eigenvectors.T
            )
        else:
            outputs = self.eigenvectors.T @ outputs
        result = np.empty((len(rows), outputs.shape[1]))
        for number, value in enumerate(values):
            left = (
                solved[number * len(rows) : (number + 1) * len(rows)]
                if by_rows
                else rotated / (self.eigenvalues + value)
            )
            same = which == number
            result[:, same] = left @ outputs[:, same]
        return result
