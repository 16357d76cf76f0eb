"""The judge `klom`: KLoM of each point, summarised by split."""

from collections.abc import Mapping
from typing import ClassVar

from pydantic import model_validator

from pipeline.core.arrays import MOST_RESAMPLES
from pipeline.core.settings.neutral import setting
from pipeline.evaluation.bootstrap import klom_interval
from pipeline.evaluation.judges.base import Judge
from pipeline.evaluation.judges.inputs import JudgeInput
from pipeline.evaluation.judges.scores import NONFINITE, Score, Scores, Yardstick
from pipeline.evaluation.klom import MOST_BINS, Rule, Variant, check_rule, klom, klom_summary
from pipeline.evaluation.published_klom import CEILING


class KlomJudge(Judge):
    """KLoM is the divergence between the margins of unlearned and of retrained models on a point.

    variant, n_bins and clip are those of `pipeline.evaluation.klom`. Each interval uses n_resamples
    resamples.
    """

    name: ClassVar[str] = "klom"
    about: ClassVar[str] = "P95 is its 95th percentile over points; 11.51 nats is the worst."
    # The floors of two groups of equally many oracles differ by up to half of their value. If the floor is
    # above 3 nats, as with 30 models on each side, doing nothing and retraining can hardly be distinguished.
    yardstick: ClassVar[Yardstick] = Yardstick(noise=0.1, share=0.5, blind=3.0, worst=CEILING)
    titles: ClassVar[Mapping[str, str]] = {"p95": "P95 KLoM", "mean": "mean KLoM", "klom": "KLoM"}

    variant: Variant = setting(neutral="closed")
    n_bins: int = setting(neutral=20, ge=2, le=MOST_BINS)
    clip: float = setting(neutral=100.0, gt=0)
    n_resamples: int = setting(neutral=200, ge=20, le=MOST_RESAMPLES)

    @model_validator(mode="after")
    def _check(self) -> "KlomJudge":
        check_rule(self.variant, self.n_bins, self.clip)
        return self

    @property
    def rule(self) -> Rule:
        """The settings of the binning, checked."""
        return check_rule(self.variant, self.n_bins, self.clip)

    def judge(self, found: JudgeInput) -> Scores:
        """Return the 95th percentile and the mean over points of each split, with intervals over models."""
        unlearned, oracle, rule = found.unlearned.margins(), found.oracle.margins(), self.rule._asdict()
        result = klom(unlearned=unlearned, oracle=oracle, **rule)
        intervals = klom_interval(
            unlearned=unlearned, oracle=oracle, groups=found.splits, n_resamples=self.n_resamples, **rule
        )
        values = {split: klom_summary(result.values[ids]) for split, ids in found.splits.items()}
        rows = [
            Score(
                statistic=statistic,
                split=split,
                value=values[split][statistic],
                interval=intervals[split][statistic],
                better="lower",
                unit="nats",
            )
            for statistic in ("p95", "mean")
            for split in found.splits
        ]
        counts = {NONFINITE: result.n_nonfinite_total, "clipped": result.n_clipped_total}
        return Scores(
            rows=tuple(rows), points={"klom": result.values, "nonfinite": result.n_nonfinite}, counts=counts
        )
