"""The content of a page that compares experiments, as plain frozen values.

For each forget set that all experiments have, it holds the result of each method in each experiment.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.core.errors import ShapeError
from pipeline.evaluation.judges.base import Judge
from pipeline.evaluation.judges.scores import Score, Scores
from pipeline.results.formatting import in_unit, times_floor
from pipeline.results.report_content import CHEAP, Role


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One method in one experiment on one forget set.

    plugin is the name of the unlearner's plug-in. scores holds, by label, the scores of the judges that are
    the same in all experiments, the headline judge first. fraction and amortised_fraction are the cost of a
    request in retrainings, without and with its share of the datamodel.
    """

    plugin: str
    scores: Mapping[str, Scores]
    fraction: float
    amortised_fraction: float

    @property
    def main(self) -> Score:
        """The headline: the first score of the first judge, on the split that matters most."""
        return next(iter(self.scores.values())).rows[0]


@dataclass(frozen=True, kw_only=True)
class Method:
    """An unlearner by its label, with one entry for each experiment.

    An entry is None if the experiment has no unlearner with this label.
    """

    label: str
    role: Role
    entries: tuple[Entry | None, ...]


@dataclass(frozen=True, kw_only=True)
class ComparedSet:
    """A forget set whose label all experiments have.

    n_points and floor have one value for each experiment; floor holds the scores of a second group of
    oracles. same_points tells whether all experiments have the same training points of the same data in this
    set.
    """

    label: str
    same_points: bool
    n_points: tuple[int, ...]
    floor: tuple[Mapping[str, Scores], ...]
    methods: tuple[Method, ...]

    def __post_init__(self) -> None:
        lengths = {len(self.n_points), len(self.floor), *(len(method.entries) for method in self.methods)}
        if len(lengths) != 1:
            raise ShapeError(
                f"forget set {self.label!r} has values of {sorted(lengths)} experiments; give one for each "
                "experiment"
            )


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The content of the comparison page.

    names, models and n_models have one item for each experiment: its name, its model in words, and the
    numbers of unlearned models and of oracles. judges holds, by label, the judges that are the same in all
    experiments, the headline judge first; judged is the text of their settings. differences holds each
    setting that differs, with its value in each experiment as text.
    """

    names: tuple[str, ...]
    models: tuple[str, ...]
    n_models: tuple[tuple[int, int], ...]
    judges: Mapping[str, Judge]
    judged: str
    sets: tuple[ComparedSet, ...]
    differences: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def judge(self) -> Judge:
        """The first judge; the words and the figure show its headline."""
        return next(iter(self.judges.values()))

    @property
    def floor(self) -> Score:
        """The floor of the headline in the first experiment on the first set.

        It also gives the statistic, the split and the unit of the headline.
        """
        return next(iter(self.sets[0].floor[0].values())).rows[0]

    @property
    def title(self) -> str:
        """What pages call the statistic of the headline."""
        return self.judge.title(self.floor.statistic)

    @property
    def counts_floors(self) -> bool:
        """Whether distances from retraining are multiples of the floor, and not differences.

        They are multiples if lower scores are better and the judge gives the change that retraining alone
        makes as a share of the floor.
        """
        return self.floor.better == "lower" and self.judge.yardstick.share > 0

    def distance(self, score: Score) -> float:
        """Return how far a score is from retraining: as a multiple of the floor, or as a difference.

        A difference is in the unit of the score, and 0 if the score is better than retraining. The result is
        infinite if the score is not finite or has no reference.
        """
        if not math.isfinite(score.value) or score.reference is None:
            return math.inf
        if not self.counts_floors:
            return max(score.excess, 0.0)
        return score.value / score.reference if score.reference > 0 else math.inf

    def away(self, value: float) -> str:
        """Return a distance as text: a number of floors, or a difference in the unit of the headline."""
        if not math.isfinite(value):
            return "countless" if self.counts_floors else "unknown"
        return (
            times_floor(value, 1.0).rstrip("×")
            if self.counts_floors
            else in_unit(value, self.floor.unit, is_named=True)
        )

    def nearest_end(self, score: Score) -> float:
        """Return the distance from retraining to the nearer end of a score's interval.

        Differences are 0 if the interval contains the score of retraining. Without an interval, the score
        itself counts.
        """
        holds = (
            score.interval is not None
            and score.reference is not None
            and score.interval[0] <= score.reference <= score.interval[1]
        )
        return 0.0 if holds and not self.counts_floors else min(self._ends(score))

    def furthest_end(self, score: Score) -> float:
        """Return the distance from retraining to the further end of a score's interval.

        Without an interval, the score itself counts.
        """
        return max(self._ends(score))

    def _ends(self, score: Score) -> list[float]:
        return [
            self.distance(dataclasses.replace(score, value=end)) for end in score.interval or (score.value,)
        ]


def lead_label(comparison: Comparison) -> str | None:
    """Return the label of the method that the words of the page are about, or None.

    Only methods count that move weights and are cheap in every experiment on every set. Methods with a
    datamodel come before others. Of several, the result is the one whose distances from retraining have the
    lowest geometric mean.
    """
    for role in (Role.DATAMODEL, Role.RIVAL):
        labels = [
            {one.label for one in each.methods if one.role == role and _is_cheap_everywhere(each, one.label)}
            for each in comparison.sets
        ]
        # A distance below 0.01 counts as 0.01: 0 has no logarithm, and the floor hides such small distances.
        totals = {
            label: sum(
                math.log(max(value, 0.01))
                for each in comparison.sets
                for value in distances(comparison, each, label)
            )
            for label in set.intersection(*labels)
        }
        if totals:
            return min(sorted(totals), key=lambda label: totals[label])
    return None


def nearest(comparison: Comparison, one: ComparedSet, label: str) -> str | None:
    """Return the name of the experiment in which a method is nearest to retraining on a forget set.

    None if fewer than two experiments have the method, or if the method's intervals in the nearest two
    experiments overlap.
    """
    entries, away = (
        next(method.entries for method in one.methods if method.label == label),
        distances(comparison, one, label),
    )
    places = sorted(range(len(comparison.names)), key=lambda place: away[place])[:2]
    first, second = (entries[place] for place in places)
    if (
        first is None
        or second is None
        or comparison.furthest_end(first.main) >= comparison.nearest_end(second.main)
    ):
        return None
    return comparison.names[places[0]]


def distances(comparison: Comparison, one: ComparedSet, label: str) -> list[float]:
    """Return the distance of a method from retraining in each experiment.

    The distance is infinite in experiments without this method; the list is empty if no experiment has it.
    """
    entries = next((method.entries for method in one.methods if method.label == label), ())
    return [math.inf if entry is None else comparison.distance(entry.main) for entry in entries]


def _is_cheap_everywhere(one: ComparedSet, label: str) -> bool:
    return all(
        entry is not None and entry.fraction < CHEAP
        for method in one.methods
        if method.label == label
        for entry in method.entries
    )
