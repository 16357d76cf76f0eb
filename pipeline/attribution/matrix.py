"""An attribution matrix in a file, used as a datamodel.

The matrix states what each training point adds to each output. No subset model is trained for it.
"""

from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from typing_extensions import override

from pipeline.attribution.datamodel import WeightMatrix
from pipeline.attribution.estimator import Arrays, Estimator
from pipeline.attribution.evidence import Block, Evidence, check_outputs
from pipeline.attribution.matrix_file import LayoutName, look_at, open_matrix
from pipeline.core.errors import DataError
from pipeline.core.settings.neutral import setting
from pipeline.data.examples import Examples

_SUFFIXES: dict[str, LayoutName] = {".npy": "npy", ".parquet": "parquet"}


class AttributionFile(Estimator):
    """A datamodel from the matrix at `path`.

    The matrix has one row for each training point. A row holds one number for each class of each point, or
    one number for the margin of each point. Points are the training points, then the validation points.

    layout: `memmap` is bare numbers of `dtype` in C order, (n_train, n_points, n_classes) or (n_train,
    n_points); `npy` is such an array with NumPy's header; `parquet` is one row for each training point, with
    columns that hold the same numbers side by side; `auto` chooses by the suffix. entries: `weights` state
    what a training point adds by its presence, `effects` what changes when it is removed; `scale` multiplies
    either. A matrix of margins can be scored; unlearning needs a matrix of logits.
    """

    name: ClassVar[str] = "file"
    revision: ClassVar[int] = 2
    needs: ClassVar[frozenset[str]] = frozenset()

    path: Path
    layout: Literal["auto", "memmap", "npy", "parquet"] = setting(neutral="auto")
    dtype: Literal["float16", "float32"] = setting(neutral="float16")
    entries: Literal["weights", "effects"] = setting(neutral="weights")
    scale: float = setting(neutral=1.0, gt=0, le=1e9)

    @property
    def format(self) -> LayoutName:
        """The layout to read; `auto` is replaced by the layout that the suffix stands for."""
        return _SUFFIXES.get(self.path.suffix.lower(), "memmap") if self.layout == "auto" else self.layout

    @override
    def check(self, examples: Examples) -> None:
        """Raise DataError unless the file holds one finite number for each output.

        The shape is checked first, then all numbers.
        """
        self.outputs(examples)
        broken = look_at(self.path, self.format, self.dtype).broken
        if broken is not None:
            row, number = divmod(
                broken, open_matrix(self.path, self.format, self.dtype, examples.n_train).shape[1]
            )
            raise DataError(
                f"attribution file {self.path} holds NaN or infinity (first: row {row}, number {number}); "
                "every weight must be finite"
            )

    @override
    def content(self) -> str:
        return look_at(self.path, self.format, self.dtype).digest

    @override
    def outputs(self, examples: Examples) -> frozenset[str]:
        """Return `logits` or `margins`, whichever fits the size of the file.

        Raises DataError if the size fits neither.
        """
        n_train, n_points, n_classes = examples.n_train, examples.n_points, examples.n_classes
        found = open_matrix(self.path, self.format, self.dtype, n_train).shape[1]
        known = {n_points * n_classes: "logits", n_points: "margins"}
        if found not in known:
            raise DataError(
                f"attribution file {self.path} has {found} numbers for each of {n_train} training points; "
                f"expected {n_points * n_classes} "
                f"({n_points} points × {n_classes} classes) or {n_points} (one margin each); compare dtype "
                "and the data set"
            )
        return frozenset({known[found]})

    @override
    def factor(self, evidence: Evidence) -> Arrays:
        """Return `n_models` (1,), the number of models that `fit` averages; outputs share nothing else."""
        return {"n_models": np.array([len(evidence.masks)])}

    @override
    def fit(self, factor: Arrays, evidence: Evidence, block: Block) -> Arrays:
        """Return `everything` (n_outputs,), the mean output of models trained on all points.

        Predictions subtract weights from it.
        """
        check_outputs(evidence.masks, block.outputs)
        return {"everything": block.outputs.mean(axis=0, dtype=np.float64)}

    @override
    def datamodel(self, factor: Arrays, fit: Arrays, evidence: Evidence, block: Block) -> WeightMatrix:
        """Return the block's columns of the file as a datamodel."""
        wanted = (block.points[:, None] * block.per_point + np.arange(block.per_point)).ravel()
        matrix = open_matrix(self.path, self.format, self.dtype, evidence.n_train).columns(wanted)
        return WeightMatrix(
            matrix=matrix,
            everything=fit["everything"],
            scale=self.scale if self.entries == "weights" else -self.scale,
        )
