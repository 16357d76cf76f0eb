"""The judge `ulira`: how well a likelihood-ratio attack distinguishes unlearned from retrained models."""

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np

from pipeline.core.arrays import MOST_RESAMPLES
from pipeline.core.settings.neutral import setting
from pipeline.evaluation.judges.base import Judge
from pipeline.evaluation.judges.inputs import JudgeInput
from pipeline.evaluation.judges.scores import NONFINITE, Score, Scores, Yardstick
from pipeline.evaluation.roc import Rates
from pipeline.evaluation.ulira import FEWEST_MODELS, LARGEST, LEAST_FLOOR, Ulira, ulira

Split = Literal["forget", "retain", "validation"]


class UliraJudge(Judge):
    """U-LiRA is how often an attack tells from a margin whether a model was unlearned or retrained.

    The attack learns from half of the models of each side and classifies the other half. It runs on the
    points of splits.
    """

    name: ClassVar[str] = "ulira"
    about: ClassVar[str] = "50% is chance, the best there is."
    fewest_models: ClassVar[int] = FEWEST_MODELS
    yardstick: ClassVar[Yardstick] = Yardstick(noise=0.02, worst=1.0, by_interval=True)
    titles: ClassVar[Mapping[str, str]] = {
        "balanced_accuracy": "U-LiRA",
        "auc": "AUC",
        "tpr": "TPR at 1% FPR",
        "ulira": "U-LiRA",
    }

    splits: tuple[Split, ...] = setting(neutral=("forget",), min_length=1)
    variance_floor: float = setting(neutral=1e-6, ge=LEAST_FLOOR, le=LARGEST)
    n_resamples: int = setting(neutral=200, ge=20, le=MOST_RESAMPLES)

    def judge(self, found: JudgeInput) -> Scores:
        """Return the balanced accuracy, the area under the curve and the TPR at 1 % FPR."""
        by_split = {
            split: ulira(
                unlearned=found.unlearned.margins(found.splits[split]),
                unseen=found.oracle.margins(found.splits[split]),
                variance_floor=self.variance_floor,
                n_resamples=self.n_resamples,
            )
            for split in dict.fromkeys(self.splits)
        }
        points = np.full(len(found.labels), np.nan)
        for split, told in by_split.items():
            points[found.splits[split]] = told.per_point
        rows = tuple(_row(name, split, told) for name in Rates._fields for split, told in by_split.items())
        return Scores(
            rows=rows,
            points={"ulira": points},
            counts={NONFINITE: sum(told.n_nonfinite for told in by_split.values())},
        )


def _row(name: str, split: str, told: Ulira) -> Score:
    value, interval = float(getattr(told, name)), told.intervals[name]
    # `nearer`: an attack that is wrong more often than chance reveals as much as one that is right.
    return Score(
        statistic=name, split=split, value=value, interval=interval, better="nearer", unit="fraction"
    )
