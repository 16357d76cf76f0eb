"""The nodes of verdicts: a judge compares unlearned models, or independent oracles, with the oracles."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from typing_extensions import override

from pipeline.core.arrays import Indices
from pipeline.core.registry import Plugin, identity
from pipeline.evaluation.judges.base import Judge
from pipeline.evaluation.judges.inputs import JudgeInput
from pipeline.evaluation.judges.scores import POINT, SPLITS, Scores
from pipeline.graph.child_run import ChildRun, child_of_method
from pipeline.graph.logits_layout import Layout
from pipeline.graph.node import Node, Parent, Work
from pipeline.graph.reading.snapshot_outputs import each_snapshot, snapshots_of
from pipeline.graph.reading.stored_outputs import SourcedWeights, StoredOutputs
from pipeline.store.store import Shard, Store, TableRef

__all__ = ["FLOOR", "SPLITS", "Judged", "VerdictNode", "read_judged", "split_ids"]

# The method of a verdict on a second group of oracles. No unlearner may have this label.
FLOOR = "floor"


@dataclass(frozen=True, kw_only=True, eq=False)
class JudgedSnapshot:
    """The verdict of a judge on the models of one snapshot, without values of points.

    after: the epochs or steps taken so far, as the unlearner's setting `snapshots` counts them. samples: the
    samples that each model has used so far in gradient evaluations.
    """

    after: int
    samples: float
    scores: Scores

    def to_json(self) -> dict[str, Any]:
        """Return all fields, JSON-ready."""
        return {"after": self.after, "samples": self.samples, "scores": self.scores.to_json()}

    @classmethod
    def from_json(cls, about: Mapping[str, Any]) -> "JudgedSnapshot":
        """Return the snapshot that to_json described."""
        return cls(after=about["after"], samples=about["samples"], scores=Scores.from_json(about["scores"]))


@dataclass(frozen=True, kw_only=True)
class VerdictNode(Node):
    """One judge on one method and one forget set.

    method is the label of the unlearner, or FLOOR for a second group of oracles. judge_label is the label of
    the judge. counts_samples: whether the judged table records the samples used. floor_key is the key of the
    same judge's verdict on FLOOR, whose values are the references of scores that have none of their own. It
    is None for FLOOR itself. states_key is the key of the table with the judged models' weights, if that is
    another table. start_key, population_keys and the two treated keys are for judges that need them. weights
    holds the sources of the states of models trained elsewhere.
    """

    stage: ClassVar[str] = "evaluate"
    title: ClassVar[str] = "judge"
    entry: ClassVar[str] = "evaluate"
    unit: ClassVar[str] = "verdicts"
    revision: ClassVar[int] = 2

    forget_set: str
    method: str
    judge_label: str
    judge: Judge
    layout: Layout
    judged_key: str
    oracle_key: str
    forget_key: str
    counts_samples: bool
    floor_key: str | None = None
    states_key: str | None = None
    start_key: str | None = None
    treated_unlearned_key: str | None = None
    treated_oracle_key: str | None = None
    population_keys: Mapping[str, str] = field(default_factory=dict)
    weights: Mapping[str, SourcedWeights] = field(default_factory=dict)

    @property
    @override
    def group(self) -> str:
        return f"{self.stage}/{self.judge_label}/{self.method}"

    @property
    @override
    def child(self) -> ChildRun:
        return child_of_method(self.method, self.forget_set)

    @override
    def settings(self) -> dict[str, Any]:
        built = {name: identity(of.model) for name, of in self.weights.items()}
        return {"judge": identity(self.judge), "layout": identity(self.layout)} | (
            {"models": built} if built else {}
        )

    @override
    def plugins(self) -> tuple[Plugin, ...]:
        return (*(of.model for of in self.weights.values()), self.judge)

    @override
    def parents(self) -> dict[str, Parent]:
        keys = {
            "judged": self.judged_key,
            "oracle": self.oracle_key,
            "floor": self.floor_key,
            "states": self.states_key,
            "start": self.start_key,
            "treated_unlearned": self.treated_unlearned_key,
            "treated_oracle": self.treated_oracle_key,
            **{f"population/{name}": key for name, key in self.population_keys.items()},
        }
        evidence = {name: Parent(key) for name, key in keys.items() if key is not None}
        return evidence | {"forget": Parent(self.forget_key, "content")}

    @override
    def compute(self, work: Work) -> Shard:
        """Judge the models; rows are points.

        The summary holds the scores, the number of models on each side, and the samples used.
        """
        found = self._input(work)
        floor = read_judged(work.store, work.inputs["floor"]).scores if self.floor_key else None
        snapshots = self._judge_snapshots(work, found, floor)
        if snapshots:
            scores = snapshots[-1].scores
        else:
            scores = self.judge.judge(found)
            # Without a floor table, these scores are the floor, so they are their own reference.
            scores = scores.with_references(scores if floor is None else floor)
        samples = float(work.read("judged", ["samples"])["samples"].mean()) if self.counts_samples else 0.0
        n_models = (found.unlearned.n_models, found.oracle.n_models)
        judged = Judged(
            scores=scores,
            n_models=n_models,
            samples=samples,
            points_column=next(iter(scores.points), None),
            snapshots=snapshots,
        )
        columns = {POINT: np.arange(len(found.labels)), **scores.points}
        return Shard(columns=columns, summary=judged.to_json())

    def _judge_snapshots(
        self,
        work: Work,
        found: JudgeInput,
        floor: Scores | None,
    ) -> tuple[JudgedSnapshot, ...]:
        """Return the judge's verdict on each snapshot, in order.

        The result is empty if no snapshots were taken. It is also empty if the judge trains models further,
        because only the final models are trained further.
        """
        if self.judge.treatment() is not None:
            return ()
        snapshots = snapshots_of(work.store, work.inputs["judged"], self.layout, work.examples.labels)
        judged = (self.judge.judge(one).with_references(floor) for one in each_snapshot(found, snapshots))
        return tuple(
            JudgedSnapshot(
                after=snapshot.after,
                samples=snapshot.samples,
                scores=scores,
            )
            for snapshot, scores in zip(snapshots, judged, strict=True)
        )

    def _input(self, work: Work) -> JudgeInput:
        labels = work.examples.labels

        def models(name: str) -> StoredOutputs:
            states = work.inputs.get("states") if name == "judged" else None
            return StoredOutputs(
                work.store, work.inputs[name], self.layout, work.examples, states, self.weights.get(name)
            )

        return JudgeInput(
            unlearned=models("judged"),
            oracle=models("oracle"),
            labels=labels,
            splits=split_ids(work.read("forget")["index"], work.examples.n_train, len(labels)),
            populations={name: models(f"population/{name}") for name in self.population_keys},
            **{
                name: models(name)
                for name in ("start", "treated_unlearned", "treated_oracle")
                if name in work.inputs
            },
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Judged:
    """The summary of a verdict.

    It holds the scores without values of points, the numbers of judged models and of oracles, and the samples
    used by each model.

    points_column names the column with the judge's first values of points; it is None if the judge gives
    none. snapshots are in order, and the last one has the same scores as the result. They are empty if none
    were taken.
    """

    scores: Scores
    n_models: tuple[int, int]
    samples: float
    points_column: str | None = None
    snapshots: tuple[JudgedSnapshot, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return all fields, JSON-ready."""
        about = {
            "scores": self.scores.to_json(),
            "n_models": list(self.n_models),
            "samples": self.samples,
            "points_column": self.points_column,
        }
        return about | ({"snapshots": [one.to_json() for one in self.snapshots]} if self.snapshots else {})


def read_judged(store: Store, table: TableRef) -> Judged:
    """Return the summary of a verdict, without the values of points."""
    about = store.summary(table)
    n_judged, n_oracles = about["n_models"]
    return Judged(
        scores=Scores.from_json(about["scores"]),
        n_models=(n_judged, n_oracles),
        samples=about["samples"],
        points_column=about["points_column"],
        snapshots=tuple(JudgedSnapshot.from_json(one) for one in about.get("snapshots", ())),
    )


def points_column(store: Store, table: TableRef) -> str | None:
    """Return the column with the judge's first values of points; None if the judge gives none."""
    return read_judged(store, table).points_column


def split_ids(forget: Indices, n_train: int, n_points: int) -> dict[str, Indices]:
    """Return the ids of the three splits of a verdict."""
    return {
        "forget": forget,
        "retain": np.setdiff1d(np.arange(n_train), forget),
        "validation": np.arange(n_train, n_points),
    }
