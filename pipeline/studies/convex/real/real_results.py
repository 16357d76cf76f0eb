"""The results of the study on one data set: every removal, and sweeps of the settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from pipeline.core.registry import describe
from pipeline.data.examples import Examples
from pipeline.studies.convex.problems.constants import constants_of
from pipeline.studies.convex.problems.losses import LogisticProblem
from pipeline.studies.convex.problems.problem import Theta
from pipeline.studies.convex.real.perturbation import Perturbation
from pipeline.studies.convex.real.real_study import Data, DataStudy, contenders
from pipeline.studies.convex.real.sweeps import SweepCell, sweep
from pipeline.studies.convex.removals.base import RemovalRequest


@dataclass(frozen=True, kw_only=True, eq=False)
class Course:
    """The course of one removal: R against the number of steps and against the cost.

    settings describe the removal. shares (n_records,) holds R = ‖θ_t − θ*‖²/‖θ_full − θ*‖², the share of the
    squared distance to the retrained minimiser that is left. steps counts the steps up to each record,
    evaluations the gradients of single points.
    """

    label: str
    settings: Mapping[str, Any]
    steps: Int[np.ndarray, " n_records"]
    evaluations: Int[np.ndarray, " n_records"]
    shares: Float[np.ndarray, " n_records"]


@dataclass(frozen=True, kw_only=True, eq=False)
class RemovalOutcome:
    """The end of one removal: R, margins on the forgotten points (n_forget,), KLoM and U-LiRA.

    share is R. KLoM and U-LiRA compare the unlearned with the retrained model, both with noise on their
    weights. klom holds P95 and mean in nats on `forget` and `unseen` points. ulira is the balanced accuracy
    of the attack on the forgotten points.
    """

    label: str
    share: float
    margins: Float[np.ndarray, " n_forget"]
    klom: Mapping[str, Mapping[str, float]]
    ulira: float


@dataclass(frozen=True, kw_only=True, eq=False)
class DataResult:
    """The courses and outcomes of all removals, the cells of the sweeps, and facts that are ready for JSON.

    The outcomes include the model before removal (`nothing`) and the retrained model.
    """

    courses: tuple[Course, ...]
    outcomes: tuple[RemovalOutcome, ...]
    cells: tuple[SweepCell, ...]
    facts: Mapping[str, Any]


def study_data(examples: Examples, settings: DataStudy) -> DataResult:
    """Return the result of every removal on these examples; raises the errors of problems and removals."""
    data = Data.of(examples, settings.penalty)
    request = data.request(settings)
    judge = RemovalJudge.of(data, request, settings)
    courses, outcomes = [], [judge.outcome("nothing", request.start)]
    for label, removal, asked in contenders(request, settings):
        found = removal.remove(asked)
        shares = found.squared_distances(judge.oracle) / judge.apart
        courses.append(
            Course(
                label=label,
                settings=describe(removal),
                steps=found.steps,
                evaluations=found.evaluations,
                shares=shares,
            )
        )
        outcomes.append(judge.outcome(label, found.last))
    return DataResult(
        courses=tuple(courses),
        outcomes=tuple(outcomes),
        cells=tuple(sweep(data, settings)),
        facts=_facts(data, request, judge),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class RemovalJudge:
    """The retrained minimiser (oracle), and the data and noise to compare other models with it.

    apart is the squared distance between the model before removal and the oracle.
    """

    forgotten: LogisticProblem
    unseen: LogisticProblem
    oracle: Theta
    apart: float
    perturbation: Perturbation

    @classmethod
    def of(cls, data: Data, request: RemovalRequest, settings: DataStudy) -> "RemovalJudge":
        """Return the judge of a request."""
        oracle = request.wanted_oracle()
        noise = Perturbation(
            sigma=settings.noise * float(np.sqrt(np.square(oracle).mean())),
            n_models=settings.n_models,
            seed=settings.seed,
        )
        apart = float(np.square(request.start - oracle).sum())
        return cls(
            forgotten=data.train.restricted(request.forget),
            unseen=data.unseen,
            oracle=oracle,
            apart=apart,
            perturbation=noise,
        )

    def outcome(self, label: str, theta: Theta) -> RemovalOutcome:
        """Return the outcome of a removal that ends at theta."""
        points = {"forget": self.forgotten, "unseen": self.unseen}
        return RemovalOutcome(
            label=label,
            share=float(np.square(theta - self.oracle).sum()) / self.apart,
            margins=self.forgotten.margins(self.forgotten.outputs(theta)),
            klom={
                name: self.perturbation.klom(problem, theta, self.oracle) for name, problem in points.items()
            },
            ulira=self.perturbation.ulira(self.forgotten, theta, self.oracle),
        )


def _facts(data: Data, request: RemovalRequest, judge: RemovalJudge) -> dict[str, Any]:
    constants, train, unseen = constants_of(data.train), data.train, data.unseen
    names = {"full": request.start, "retrained": judge.oracle}
    return {
        "n_points": train.n_points,
        "n_forget": len(request.forget),
        "n_features": train.n_features,
        "n_classes": train.n_classes,
        "penalty": train.penalty,
        "distance": float(np.sqrt(judge.apart)),
        "sigma": judge.perturbation.sigma,
        "accuracy": {
            name: float((unseen.margins(unseen.outputs(theta)) > 0).mean()) for name, theta in names.items()
        },
        "constants": {
            name: getattr(constants, name)
            for name in ("strong_convexity", "smoothness", "lipschitz", "hessian_lipschitz", "condition")
        },
    }
