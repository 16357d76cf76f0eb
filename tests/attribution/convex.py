"""Softmax regression at its minimum, with and without some points.

It is the reference for attribution from checkpoints.
"""

from dataclasses import dataclass

import numpy as np
import torch

from pipeline.attribution.estimator import Estimator
from pipeline.attribution.evidence import Block, Evidence
from pipeline.attribution.gradients.parameter_steps import StepDatamodel
from pipeline.data.examples import Examples
from pipeline.models.logistic import Logistic
from pipeline.training.ensemble import Builder, States
from pipeline.training.gradients import Checkpoints
from pipeline.training.recipe.objectives import LabelObjective, cross_entropy


@dataclass(frozen=True, kw_only=True)
class Convex:
    """Examples and the penalty.

    The loss is the sum of the objective over points and penalty · n_train / 2 times all parameters squared.
    """

    examples: Examples
    penalty: float
    objective: LabelObjective = cross_entropy

    def logits(self, removed: np.ndarray | tuple[int, ...] = ()) -> np.ndarray:
        """Return the logits (n_points, n_classes) of the minimum without some training points."""
        return self._features() @ self._minimum(np.asarray(removed, int))

    def effect(self, removed: np.ndarray) -> np.ndarray:
        """Return how retraining without these points changes all logits."""
        return self.logits(removed) - self.logits()

    def states(self, n_models: int = 2) -> States:
        """Return so many copies of the minimum as the states of the model `logistic`."""
        found = torch.from_numpy(self._minimum(np.array([], int)).astype(np.float32).T)
        one = {"1.weight": found[:, :-1], "1.bias": found[:, -1]}
        return {name: torch.stack([value] * n_models) for name, value in one.items()}

    def evidence(self, heldout: np.ndarray | None = None) -> Evidence:
        """Return the minimum as evidence, with full masks."""
        build, states = Builder(Logistic(), self.examples.input_shape, self.examples.n_classes), self.states()
        trained = Checkpoints(build, lambda: states, self.examples, objective=self.objective)
        return Evidence(masks=np.ones((4, self.examples.n_train), bool), heldout=heldout, trained=trained)

    def block(self, points: np.ndarray) -> Block:
        """Return the logits of points at the minimum as a block of four models."""
        outputs = np.broadcast_to(
            self.logits()[points].reshape(1, -1), (4, len(points) * self.examples.n_classes)
        )
        return Block(points=points, outputs=outputs, per_point=self.examples.n_classes)

    def datamodel(self, estimator: Estimator, points: np.ndarray | None = None) -> StepDatamodel:
        """Return the datamodel of points, all if none are named."""
        evidence, block = (
            self.evidence(),
            self.block(np.arange(self.examples.n_points) if points is None else points),
        )
        factor = estimator.factor(evidence)
        return estimator.datamodel(factor, estimator.fit(factor, evidence, block), evidence, block)

    def _features(self) -> np.ndarray:
        flat = np.asarray(self.examples.inputs).reshape(self.examples.n_points, -1).astype(np.float64)
        return np.concatenate([flat, np.ones((len(flat), 1))], axis=1)

    def _minimum(self, removed: np.ndarray) -> np.ndarray:
        """Return the parameters (n_features + 1, n_classes) by Newton's method."""
        n_train, n_classes = self.examples.n_train, self.examples.n_classes
        kept = np.setdiff1d(np.arange(n_train), removed)
        x, labels = self._features()[kept], self.examples.labels[kept]
        found, pull = np.zeros((x.shape[1], n_classes)), self.penalty * n_train
        for _ in range(25):
            slope = (x.T @ self.objective.slopes(x @ found, labels) + pull * found).ravel()
            bend = self.objective.curvatures(x @ found)
            hessian = np.einsum("ni,nkl,nj->ikjl", x, bend, x).reshape(
                found.size, found.size
            ) + pull * np.eye(found.size)
            found -= np.linalg.solve(hessian, slope).reshape(found.shape)
        return found


def overlapping(
    n_train: int = 40, n_classes: int = 3, penalty: float = 0.05, stretched: float = 1.0, seed: int = 0
) -> Convex:
    """Return classes that overlap, and six validation points whose inputs, hence logits, are stretched."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n_train + 6) % n_classes
    inputs = rng.normal(size=(n_train + 6, 5)) + np.eye(n_classes, 5)[labels]
    inputs[n_train:] *= stretched
    return Convex(
        examples=Examples(
            inputs=inputs.astype(np.float32), labels=labels, n_train=n_train, n_classes=n_classes
        ),
        penalty=penalty,
    )


def compared(
    convex: Convex, datamodel: StepDatamodel, sets: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return predicted and actual effects (n_sets, n_outputs) of removing sets."""
    found = np.stack([datamodel.effect_of_removing(ids).mean for ids in sets])
    return found, np.stack([convex.effect(ids).ravel() for ids in sets])


def slope(predicted: np.ndarray, actual: np.ndarray) -> float:
    """Return by what predicted effects have to be multiplied to fit actual ones best."""
    return float((predicted * actual).sum() / (predicted**2).sum())
