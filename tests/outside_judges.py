"""Users' judges from outside the package; the config names them `outside_judges:Class`."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from pipeline.core.registry import Plugin
from pipeline.core.settings.neutral import setting
from pipeline.evaluation.judges.base import Judge, TrainedModels
from pipeline.evaluation.judges.inputs import JudgeInput
from pipeline.evaluation.judges.scores import Score, Scores, Yardstick
from pipeline.unlearning.finetune import Finetune


class Closeness(Judge):
    """Closeness is how near the mean margins of unlearned models are to those of retrained ones, in steps.

    1 is as near as can be.
    """

    yardstick: ClassVar[Yardstick] = Yardstick(noise=0.05, worst=0.0)
    titles: ClassVar[Mapping[str, str]] = {
        "closeness": "Closeness",
        "furthest": "furthest point",
        "gap": "Gap",
    }

    scale: float = setting(neutral=1.0, gt=0)

    def judge(self, found: JudgeInput) -> Scores:
        """Return it on forgotten and retained points."""
        gap = (
            np.abs(found.unlearned.margins().mean(axis=0) - found.oracle.margins().mean(axis=0)) / self.scale
        )
        rows = []
        for name, summarise in (("closeness", np.mean), ("furthest", np.max)):
            for split in ("forget", "retain"):
                value = float(1 / (1 + summarise(gap[found.splits[split]])))
                rows.append(Score(statistic=name, split=split, value=value, better="higher", unit="steps"))
        return Scores(rows=tuple(rows), points={"gap": gap}, counts={"points_apart": int((gap > 0.1).sum())})


class Weights(Judge):
    """Weights is how far unlearned weights are from those they began with, beside retrained ones."""

    needs: ClassVar[frozenset[str]] = frozenset({"states", "full"})

    def judge(self, found: JudgeInput) -> Scores:
        """Return the distances of both sides from the start."""
        assert found.start is not None
        start, sides = found.start.states(), (found.unlearned.states(), found.oracle.states())
        away, reference = (
            float(np.mean([np.abs(values - start[name]).mean() for name, values in side.items()]))
            for side in sides
        )
        return Scores(
            rows=(Score(statistic="moved", split="forget", value=away, reference=reference, better="nearer"),)
        )


class Shadows(Judge):
    """Shadows compares unlearned models with models trained for it, on subsets and without the set."""

    n_models: int = setting(neutral=2, ge=2)

    def populations(self) -> dict[str, TrainedModels]:
        """Return a population of each kind."""
        return {
            "subsets": TrainedModels(
                n_models=self.n_models, keep_fraction=0.5, leaves_out_forget_set=False, keeps_states=True
            ),
            "without": TrainedModels(n_models=self.n_models),
        }

    def judge(self, found: JudgeInput) -> Scores:
        """Return how far the mean margin on forgotten points is from that of each population."""
        forget, rows = found.splits["forget"], []
        assert found.populations["subsets"].states()
        for name, models in found.populations.items():
            gap = found.unlearned.margins()[:, forget].mean() - models.margins()[:, forget].mean()
            rows.append(Score(statistic=name, split="forget", value=float(abs(gap)), unit="nats"))
        return Scores(rows=tuple(rows))


class Relearning(Judge):
    """Relearning is the gain in margin on forgotten points after a little training, on both sides."""

    def treatment(self) -> Plugin:
        """Return the training."""
        return Finetune(epochs=1, learning_rate=0.05)

    def judge(self, found: JudgeInput) -> Scores:
        """Return the gain."""
        assert found.treated_unlearned is not None
        assert found.treated_oracle is not None
        forget = found.splits["forget"]
        pairs = ((found.treated_unlearned, found.unlearned), (found.treated_oracle, found.oracle))
        gain, reference = (
            float((after.margins() - before.margins())[:, forget].mean()) for after, before in pairs
        )
        return Scores(
            rows=(
                Score(
                    statistic="gain",
                    split="forget",
                    value=gain,
                    reference=reference,
                    better="nearer",
                    unit="nats",
                ),
            )
        )


class Greedy(Judge):
    """Greedy needs more models than there are."""

    fewest_models: ClassVar[int] = 7

    def judge(self, found: JudgeInput) -> Scores:
        """Return nothing of use."""
        raise AssertionError


class Demanding(Greedy):
    """Demanding needs something that nobody has."""

    fewest_models: ClassVar[int] = 2
    needs: ClassVar[frozenset[str]] = frozenset({"gradients"})


def _answer(name: str, answer: Any) -> None:
    """Put a judge into this module that returns an answer, or raises it."""

    def judge(self: Judge, found: JudgeInput) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    globals()[name] = type(Judge)(
        name, (Judge,), {"__module__": __name__, "__doc__": f"{name} is mistaken.", "judge": judge}
    )


ROW = Score(statistic="one", split="forget", value=1.0)
# Judges with a mistake, and what is said of it.
MISTAKEN = {
    "Silent": (Scores(rows=()), "there are no rows"),
    "NotFinite": (
        Scores(rows=(Score(statistic="one", split="forget", value=float("nan")),)),
        "expected finite ones",
    ),
    "Twice": (Scores(rows=(ROW, ROW)), "appears 2 times; give it once"),
    "Elsewhere": (
        Scores(rows=(Score(statistic="one", split="test", value=1.0),)),
        "expected one of forget, retain, validation",
    ),
    "Blank": (Scores(rows=(Score(statistic="", split="forget", value=1.0),)), "a statistic is called ''"),
    "Short": (Scores(rows=(ROW,), points={"gap": np.zeros(3)}), "one number for each of 80 points"),
    "Nothing": (None, "judge() returned None"),
    "Raises": (ValueError("no idea"), "judge() raised ValueError: no idea"),
}
for _name, (_said, _) in MISTAKEN.items():
    _answer(_name, _said)
