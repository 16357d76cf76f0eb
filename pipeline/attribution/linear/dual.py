"""Regression in its dual form.

One m×m eigendecomposition of a kernel between the subsets of m fitted models serves every output, penalty and
forget set. Let K be the centred kernel of the fitted masks and Y the centred outputs. A datamodel answers k
(K + λI)⁻¹ Y, where k is the kernel between what is asked and the fitted masks. For a prediction this is the
kernel of a mask, and the mean output is added; for an effect it is the kernel of a removal. Ridge and kernel
datamodels differ only in the kernel.
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

# Number of points whose single removals are computed at once; each takes a row of n_models numbers.
SINGLES = 4096


class Kernel(ABC):
    """The similarity of two subsets of training points, centred over the fitted masks (n_models, n_train)."""

    @abstractmethod
    def between(self, masks: Bool[np.ndarray, "n_masks n_train"]) -> Float[np.ndarray, "n_masks n_models"]:
        """Return the centred kernel of masks with the fitted ones."""

    @abstractmethod
    def removing(
        self, sets: Sequence[Indices]
    ) -> tuple[Float[np.ndarray, "n_sets n_models"], Float[np.ndarray, " n_sets"]]:
        """Return the kernel of each set's removal with the fitted masks, and with itself.

        A removal is the change from all points to all points without the set.
        """


class DualEstimator(Estimator):
    """Base of estimators that solve a regression with some kernel.

    The results of `fit` hold `penalty`, `effect_penalty` (both absolute) and `amplitude`.
    """

    scalars: ClassVar[tuple[str, ...]] = ("penalty", "effect_penalty", "r2", "amplitude")

    curvature: float = setting(neutral=0.0)

    @abstractmethod
    def kernel(self, evidence: Evidence) -> Kernel:
        """Return the kernel that compares subsets; the same evidence always gives the same object."""

    def noise(self, fit: Arrays) -> PerOutput:
        """Return the variance of each output that no mask explains, given the results of fit."""
        return np.asarray(fit["amplitude"] * fit["penalty"])

    @override
    def factor(self, evidence: Evidence) -> Arrays:
        """Return `eigenvalues` (n_models,) and `eigenvectors` (n_models, n_models) of K.

        Eigenvalues ascend; eigenvectors are columns. If there are held-out masks, `heldout` (n_models,
        n_heldout) holds the kernel of the fitted masks with them.
        """
        check_masks(evidence.masks)
        asked = (
            evidence.masks if evidence.heldout is None else np.concatenate([evidence.masks, evidence.heldout])
        )
        rows = self.kernel(evidence).between(asked)
        values, vectors = np.linalg.eigh(rows[: len(evidence.masks)])
        found = {"eigenvalues": np.maximum(values, 0.0), "eigenvectors": vectors}
        return found if evidence.heldout is None else found | {"heldout": rows[len(evidence.masks) :].T}

    @override
    def datamodel(self, factor: Arrays, fit: Arrays, evidence: Evidence, block: Block) -> "DualDatamodel":
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
    """Datamodels of a block of outputs under one kernel; outputs with equal penalties are solved together.

    amplitude (n_outputs,): prior variance of an output for each unit of the kernel. noise (n_outputs,):
    variance of an output that no mask explains. curvature: the part of an effect that the kernel does not
    know, as a share of the effect; the standard error includes it.
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
        """Return predicted outputs of masks, given their kernel with the fitted masks."""
        return self._apply(rows, self.penalty) + self.outputs.mean(axis=0, dtype=np.float64)

    def effect_of_removing(self, indices: Indices) -> Effect:
        """Return the predicted change of each output when indices are removed.

        The standard error has two independent parts. One is that of a Gaussian process with this kernel and
        noise, solved at effect_penalty. The other is `curvature` times the effect. Raises DataError on ids
        that are repeated or not training points.
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
        """Return `effect_of_removing` for each training point alone: means and standard errors."""
        means, errors = zip(
            *(self._effects(changed, prior) for changed, prior in self._removing_each()), strict=True
        )
        return np.concatenate(means), np.concatenate(errors)

    def weights(self) -> Float[np.ndarray, "n_train n_outputs"]:
        """Return what each training point adds to each output.

        This is the negated change when it alone is removed, at the penalty of prediction.
        """
        return -np.concatenate([self._apply(changed, self.penalty) for changed, _ in self._removing_each()])

    def intercept(self) -> PerOutput:
        """Return what the linear datamodel with these `weights` predicts for the empty mask.

        It is chosen so that the linear datamodel and this one agree on the mask that keeps all points.
        """
        everything = np.ones((1, self.evidence.n_train), bool)
        return self.predict(everything)[0] - self.weights().sum(axis=0)

    def _removing_each(
        self,
    ) -> Iterator[tuple[Float[np.ndarray, "n_sets n_models"], Float[np.ndarray, " n_sets"]]]:
        """Yield the kernel's `removing` for every training point alone, some points at a time."""
        for start in range(0, self.evidence.n_train, SINGLES):
            stop = min(start + SINGLES, self.evidence.n_train)
            yield self.kernel.removing([np.array([index]) for index in range(start, stop)])

    def _effects(
        self, changed: Float[np.ndarray, "n_sets n_models"], prior: Float[np.ndarray, " n_sets"]
    ) -> tuple[Float[np.ndarray, "n_sets n_outputs"], Float[np.ndarray, "n_sets n_outputs"]]:
        """Return means and standard errors (n_sets, n_outputs) of the effects of removing sets.

        changed and prior: the results of the kernel's `removing` for these sets.
        """
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

        Rows are multiplied by the m×m eigenvectors once, whatever the number of distinct penalties.
        """
        values, which = np.unique(penalty, return_inverse=True)
        outputs, rotated = (
            self.outputs - self.outputs.mean(axis=0, dtype=np.float64),
            rows @ self.eigenvectors,
        )
        # The second product with the eigenvectors takes either the rows, once for each penalty, or the
        # outputs, whichever are fewer.
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
