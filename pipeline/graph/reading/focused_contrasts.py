"""The contrast of focused models, read from their tables.

The contrast is the difference between models trained without a forget set and models trained with it.
"""

import numpy as np

from pipeline.attribution.corrections.focused import Contrast, combined, contrast
from pipeline.attribution.datamodel import Effect
from pipeline.core.arrays import Indices
from pipeline.core.errors import DataError
from pipeline.graph.logits_layout import Layout, column
from pipeline.graph.node import Work
from pipeline.graph.nodes.train import FOCUSED_IN, FOCUSED_OUT


def corrected(work: Work, layout: Layout, predicted: Effect, forget: Indices) -> Effect:
    """Return the predicted effect on every logit (n_points × n_classes,), corrected by focused models."""
    forgotten = np.isin(np.arange(work.examples.n_points), forget).repeat(work.examples.n_classes)
    return combined(predicted, read_contrast(work, layout), forgotten=forgotten)


def read_contrast(work: Work, layout: Layout) -> Contrast:
    """Return the contrast of every logit (n_points × n_classes,), one block in memory at a time.

    A pair is the members with the same number in both tables. Raises DataError if fewer than two pairs are
    complete.
    """
    members = {role: work.read(role, ["member"])["member"] for role in (FOCUSED_IN, FOCUSED_OUT)}
    pairs, *rows = np.intersect1d(members[FOCUSED_IN], members[FOCUSED_OUT], return_indices=True)
    if len(pairs) < 2:
        raise DataError(
            f"{len(pairs)} pairs of focused models are complete, expected at least 2; run again to train "
            "those that failed"
        )
    parts = []
    for block in range(layout.n_blocks(work.examples.n_points)):
        name = column(block)
        kept, left_out = (
            work.read(role, [name])[name][chosen].reshape(len(pairs), -1)
            for role, chosen in zip(members, rows, strict=True)
        )
        parts.append(contrast(kept=kept, left_out=left_out))
    mean, variance = (
        np.concatenate(values) for values in zip(*((part.mean, part.variance) for part in parts), strict=True)
    )
    return Contrast(mean=mean, variance=variance, n_pairs=len(pairs))
