"""The judge `accuracy`: unlearned models should be right as often as retrained models."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import ndtri

from pipeline.evaluation.accuracy import is_correct
from pipeline.evaluation.judges.base import Judge
from pipeline.evaluation.judges.inputs import JudgeInput, ModelOutputs
from pipeline.evaluation.judges.scores import NONFINITE, Score, Scores, Yardstick

LEVEL = 0.95

Correct = Bool[np.ndarray, "n_models n_points"]
PerModel = Float[np.ndarray, " n_models"]


class AccuracyJudge(Judge):
    """Accuracy is the share of points that the models classify correctly."""

    name: ClassVar[str] = "accuracy"
    about: ClassVar[str] = "Forgetting means agreeing with retrained models, not falling to zero."
    needs: ClassVar[frozenset[str]] = frozenset({"logits"})
    yardstick: ClassVar[Yardstick] = Yardstick(noise=0.02, by_interval=True)
    titles: ClassVar[Mapping[str, str]] = {"accuracy": "accuracy"}

    def judge(self, found: JudgeInput) -> Scores:
        """Return the mean accuracy on each split with its interval over models; oracles are the reference."""
        correct, n_nonfinite = _correct(found.unlearned, found)
        oracle, _ = _correct(found.oracle, found)
        rows = []
        for split, ids in found.splits.items():
            each = correct[:, ids].mean(axis=1)
            reference = float(oracle[:, ids].mean())
            value, interval = float(correct[:, ids].mean()), _interval(each)
            rows.append(
                Score(
                    statistic="accuracy",
                    split=split,
                    value=value,
                    interval=interval,
                    reference=reference,
                    better="nearer",
                    unit="fraction",
                )
            )
        return Scores(
            rows=tuple(rows), points={"accuracy": correct.mean(axis=0)}, counts={NONFINITE: n_nonfinite}
        )


def _correct(models: ModelOutputs, found: JudgeInput) -> tuple[Correct, int]:
    """Return whether each model is right on each point, and the number of non-finite outputs."""
    parts, n_nonfinite = [], 0
    for points, logits in models.blocks():
        parts.append(is_correct(logits, found.labels[points]))
        n_nonfinite += int((~np.isfinite(logits).all(axis=-1)).sum())
    return np.concatenate(parts, axis=1), n_nonfinite


def _interval(each: PerModel) -> tuple[float, float]:
    """Return the 95 % normal interval of the mean over models, cut to [0, 1]."""
    half = float(ndtri(0.5 + LEVEL / 2) * each.std(ddof=1) / np.sqrt(len(each))) if len(each) > 1 else 0.0
    return max(float(each.mean()) - half, 0.0), min(float(each.mean()) + half, 1.0)
