"""The rows of results that users read: one for each unlearner and forget set, from the summaries of verdicts.

The command line, MLflow and the report share them.
"""

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.core.registry import plugin_name
from pipeline.evaluation.judges.accuracy_judge import AccuracyJudge
from pipeline.evaluation.judges.base import Judge
from pipeline.evaluation.judges.klom_judge import KlomJudge
from pipeline.evaluation.judges.scores import Scores
from pipeline.graph.nodes.evaluate import Judged
from pipeline.results.report_content import Cost, PopulationContent, SnapshotContent
from pipeline.results.score_tables import ScoreColumn, counted, score_columns
from pipeline.results.tables import Cell, Column, Row, Section, Table, mark_best, number_column, row_of
from pipeline.unlearning.unlearner import Unlearner


@dataclass(frozen=True, kw_only=True)
class Spending:
    """Costs before unlearning, in trainings of one model on all points ("retrainings").

    datamodel is the cost of all models that effects are learnt from; n_requests share it. focused is the cost
    of the models trained for one request alone. Each request asks n_models models to forget. epochs and
    n_train describe one retraining. proxies: the roles of models that effects are learnt from, but whose
    architecture or recipe differs from that of the models that unlearn. Here a training of such a model on
    all points counts as one retraining, however long it takes.
    """

    datamodel: float
    focused: float
    n_requests: int
    n_models: int
    epochs: int
    n_train: int
    proxies: tuple[str, ...] = ()

    def fraction(self, samples: float) -> float:
        """Return a number of samples used in gradient evaluations, as a fraction of one retraining."""
        return samples / (self.epochs * self.n_train)

    def shared(self, unlearner: Unlearner) -> float:
        """Return the cost that one request adds before unlearning begins.

        If the unlearner needs effects, this is the request's share of the datamodel plus its focused models.
        If it needs true oracles, one retraining is added.
        """
        effects = self.datamodel / self.n_requests + self.focused if "effect" in unlearner.needs else 0.0
        return effects + (1.0 if "oracle" in unlearner.needs else 0.0)

    def break_even(self, n_models: int) -> float | None:
        """Return the number of requests from which on the datamodel costs less than retraining, or None.

        A request retrains n_models models, or it trains focused models instead and shares the datamodel. None
        if the focused models alone cost as much as retraining. The cost of unlearning itself, a few
        hundredths of a retraining for each model, is left out.
        """
        return self.datamodel / (n_models - self.focused) if n_models > self.focused else None

    def by_time(self, populations: Sequence[PopulationContent]) -> float | None:
        """Return the cost of the datamodel in retrainings, with proxies counted by their measured time.

        populations are rows with measured seconds. The result is None if one of these times is not known.
        """
        rows = {row.role: row for row in populations}
        full, proxies = rows["full"], [rows[role] for role in self.proxies]
        if not full.seconds or not full.retrainings or not all(row.seconds for row in proxies):
            return None
        each = full.seconds / full.retrainings
        return self.datamodel + sum((row.seconds or 0.0) / each - row.retrainings for row in proxies)


def bounds_of(unlearners: Mapping[str, Unlearner]) -> list[str]:
    """Return the labels of unlearners that need true oracles.

    Nobody who has oracles needs to unlearn, so these methods only show a bound and are never marked as best.
    """
    return [label for label, unlearner in unlearners.items() if "oracle" in unlearner.needs]


@dataclass(frozen=True, kw_only=True, eq=False)
class Result:
    """The result of one unlearner on one forget set.

    judged holds the verdict of each judge by its label, the headline first. cost is the cost of one request.
    snapshots are the models along the way, in order, if the unlearner takes any.
    """

    unlearner: str
    forget_set: str
    judges: Mapping[str, Judge]
    judged: Mapping[str, Judged]
    cost: Cost
    snapshots: tuple[SnapshotContent, ...] = ()

    @property
    def scores(self) -> dict[str, Scores]:
        """The scores of each judge."""
        return {label: judged.scores for label, judged in self.judged.items()}

    @property
    def n_models(self) -> tuple[int, int]:
        """The numbers of unlearned models and of oracles that the headline rests on."""
        return next(iter(self.judged.values())).n_models

    def to_json(self) -> dict[str, Any]:
        """Return the row of `--json`: the keys of KLoM and accuracy, and under `scores` those of every judge.

        `snapshots` holds the same keys for each snapshot, in order; the last one equals the row itself.
        """
        keys = {"unlearner": self.unlearner, "forget_set": self.forget_set, "n_models": list(self.n_models)}
        snapshots = [self._snapshot_json(one) for one in self.snapshots]
        return keys | self._scored(self.scores, self.cost) | {"snapshots": snapshots}

    def _snapshot_json(self, snapshot: SnapshotContent) -> dict[str, Any]:
        return {"after": snapshot.after, "unit": snapshot.unit} | self._scored(snapshot.scores, snapshot.cost)

    def _scored(self, scores: Mapping[str, Scores], cost: Cost) -> dict[str, Any]:
        keys: dict[str, Any] = {}
        for label, one in reversed(list(scores.items())):
            keys |= _KEYS.get(plugin_name(self.judges[label]), _no_keys)(one)
        by_judge = {label: one.to_json() for label, one in scores.items()}
        return keys | {"cost": dataclasses.asdict(cost), "scores": by_judge}


def results_table(
    results: Sequence[Result], *, bounds: Collection[str] = (), first_splits: bool = False
) -> Table:
    """Return the headline of every judge for each result, with the best of each column marked.

    In brackets beside each value is the value of independent retrained models. bounds: labels of unlearners
    that need true oracles; they are never marked. first_splits: only the most important split of each judge
    has a column.
    """
    columns = score_columns(results[0].judges, [result.scores for result in results]) if results else []
    if first_splits:
        columns = list({column.label: column for column in reversed(columns)}.values())[::-1]
    sections = [
        Section(
            title=label,
            rows=tuple(_line(result, columns, bounds) for result in results if result.forget_set == label),
        )
        for label in dict.fromkeys(result.forget_set for result in results)
    ]
    notes = [one.note for one in results[0].judges.values()] if results else []
    made = Table(
        columns=(
            Column("unlearner"),
            *(column.column for column in columns),
            number_column("cost", digits=3),
        ),
        sections=tuple(sections),
        section_heading="forget set",
        notes=(
            "In brackets: the score of independent retrained models; green or ✓: no measurable difference.",
            *notes,
            "Cost: of one request, in retrainings.",
        ),
    )
    return mark_best(made)


def _line(result: Result, columns: Sequence[ScoreColumn], bounds: Collection[str]) -> Row:
    cells = (column.short_cell(result.scores) for column in columns)
    label = Cell(value=result.unlearner, under=tuple(counted(result.scores)))
    return row_of(label, *cells, result.cost.fraction, competes=result.unlearner not in bounds)


def cost_of(unlearner: Unlearner, samples: float, spending: Spending) -> Cost:
    """Return the cost of a request whose unlearning uses this number of samples in each model."""
    fraction = spending.fraction(samples)
    return Cost(samples=samples, fraction=fraction, amortised_fraction=fraction + spending.shared(unlearner))


def snapshot_rows(
    unlearner: Unlearner,
    judged: Mapping[str, Judged],
    spending: Spending,
) -> tuple[SnapshotContent, ...]:
    """Return the snapshots of an unlearner in order, each with its cost and its scores.

    A judge that judged only the result has no scores here.
    """
    by_judge = {label: one.snapshots for label, one in judged.items() if one.snapshots}
    wanted = unlearner.snapshots_wanted
    return tuple(
        SnapshotContent(
            after=several[0].after,
            unit="" if wanted is None else wanted.unit,
            cost=cost_of(unlearner, several[0].samples, spending),
            scores={label: one.scores for label, one in zip(by_judge, several, strict=True)},
        )
        for several in zip(*by_judge.values(), strict=True)
    )


def _klom_keys(scores: Scores) -> dict[str, Any]:
    """Return the keys that rows of `--json` have had since KLoM was the only judge."""
    p95, mean = scores.of("p95"), scores.of("mean")
    return {
        **{split: row.value for split, row in p95.items()},
        "floor": {split: row.reference for split, row in p95.items()},
        "mean": {split: row.value for split, row in mean.items()},
        "interval": {split: list(row.interval or ()) for split, row in p95.items()},
        "mean_interval": {split: list(row.interval or ()) for split, row in mean.items()},
        "floor_mean": {split: row.reference for split, row in mean.items()},
        "n_nonfinite": scores.counts["nonfinite"],
        "n_clipped": scores.counts["clipped"],
    }


def _accuracy_keys(scores: Scores) -> dict[str, Any]:
    rows = scores.of("accuracy")
    return {
        "accuracy": {split: row.value for split, row in rows.items()},
        "oracle_accuracy": {split: row.reference for split, row in rows.items()},
    }


def _no_keys(scores: Scores) -> dict[str, Any]:
    return {}


# The functions that give rows of `--json` their older keys, by judge. These keys are kept for users. New
# values are only under `scores`.
_KEYS: Mapping[str, Callable[[Scores], dict[str, Any]]] = {
    KlomJudge.name: _klom_keys,
    AccuracyJudge.name: _accuracy_keys,
}
