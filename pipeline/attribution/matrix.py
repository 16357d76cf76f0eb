"""Anybody's attribution as a datamodel.

A matrix in a file says what each training point adds to each output. No subset model is trained for it.
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
    """The matrix at `path`.

    A row for each training point, in it one number for each class of each point, or one for each point's
    margin.

    layout: `memmap` is bare numbers of `dtype` in C order, (n_train, n_points, n_classes) or (n_train,
    n_points), `npy` such an array with NumPy's header, `parquet` a row for each training point whose columns,
    side by side, hold the same numbers; `auto` goes by the suffix. Points are the training points, then the
    validation points. entries: `weights` say what a training point adds by being there, `effects` what
    changes when it is removed; `scale` multiplies either. A matrix of margins can be scored; unlearning needs
    one of logits.
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
        """The layout, chosen."""
        return _SUFFIXES.get(self.path.suffix.lower(), "memmap") if self.layout == "auto" else self.layout

    def check(self, examples: Examples) -> None:
        """Raise DataError unless the file holds one finite number for each output.

        Its shape is looked at first, then all of it.
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

    def outputs(self, examples: Examples) -> frozenset[str]:
        """See Estimator; raises DataError if the file's size is that of neither logits nor margins."""
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

    def factor(self, evidence: Evidence) -> Arrays:
        """Return the number of models that effects start from; the file shares nothing between outputs."""
        return {"n_models": np.array([len(evidence.masks)])}

    def fit(self, factor: Arrays, evidence: Evidence, block: Block) -> Arrays:
        """Return `everything` (n_outputs,).

        The mean output of models trained on all points, which weights are taken away from.
        """
        check_outputs(evidence.masks, block.outputs)
        return {"everything": block.outputs.mean(axis=0, dtype=np.float64)}

    def datamodel(self, factor: Arrays, fit: Arrays, evidence: Evidence, block: Block) -> WeightMatrix:
        """Return the block's columns of the file as a datamodel."""
        wanted = (block.points[:, None] * block.per_point + np.arange(block.per_point)).ravel()
        matrix = open_matrix(self.path, self.format, self.dtype, evidence.n_train).columns(wanted)
        return WeightMatrix(
            matrix=matrix,
            everything=fit["everything"],
            scale=self.scale if self.entries == "weights" else -self.scale,
        )
