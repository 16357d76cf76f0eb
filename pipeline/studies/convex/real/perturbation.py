"""Gaussian noise on the weights of convex models, which have no randomness of their own.

Noise of the same size on the unlearned and on the retrained model turns each into many models. KLoM and
U-LiRA then measure how well margins distinguish the two, as for models that were trained with random seeds.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from pipeline.core.seeds import generator
from pipeline.evaluation.klom import klom, klom_summary
from pipeline.evaluation.ulira import ulira
from pipeline.studies.convex.problems.losses import LogisticProblem
from pipeline.studies.convex.problems.problem import Theta


@dataclass(frozen=True, kw_only=True)
class Perturbation:
    """Adds n_models draws of N(0, σ²I) to weights; unlearned and retrained models have separate draws."""

    sigma: float
    n_models: int
    seed: int

    def klom(self, problem: LogisticProblem, unlearned: Theta, retrained: Theta) -> dict[str, float]:
        """Return {"p95", "mean"} of KLoM over the points of the problem, in nats.

        KLoM compares noisy unlearned with noisy retrained models.
        """
        margins = [
            self._margins(problem, theta, name)
            for theta, name in ((unlearned, "unlearned"), (retrained, "retrained"))
        ]
        return klom_summary(klom(unlearned=margins[0], oracle=margins[1]).values)

    def ulira(self, problem: LogisticProblem, unlearned: Theta, retrained: Theta) -> float:
        """Return the balanced accuracy of an attack on noisy unlearned and noisy retrained models.

        The attack sees margins on the points of the problem. Guessing scores ½, and chance may lead to less.
        """
        margins = [
            self._margins(problem, theta, name)
            for theta, name in ((unlearned, "unlearned"), (retrained, "retrained"))
        ]
        return float(
            ulira(unlearned=margins[0], unseen=margins[1], n_resamples=2, seed=self.seed).balanced_accuracy
        )

    def _margins(
        self, problem: LogisticProblem, theta: Theta, purpose: str
    ) -> Float[np.ndarray, "n_models n_points"]:
        noise = self.sigma * generator("perturbation", purpose, self.seed).standard_normal(
            (self.n_models, *theta.shape)
        )
        return problem.margins(problem.features @ (theta + noise))
