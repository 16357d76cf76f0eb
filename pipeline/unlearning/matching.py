"""Matching: fine-tune to wanted logits on the forget set and a sample of the retain set.

Datamodel Matching uses the logits that a datamodel predicts for a model retrained without the forget set.
Oracle Matching uses the logits of a true oracle. Unlearning is meant to avoid the training of oracles, so
Oracle Matching is only a bound on what matching can reach. Source: Georgiev et al. 2025, algorithms 1 and 2.
"""

from abc import abstractmethod
from typing import ClassVar

import numpy as np
from pydantic import model_validator
from typing_extensions import override

from pipeline.core.arrays import Logits
from pipeline.core.errors import ConfigError
from pipeline.core.seeds import generator
from pipeline.core.settings.neutral import setting
from pipeline.training.recipe.objectives import squared_error
from pipeline.training.recipe.schedule import Descent, OptimizerName, Phase, ScheduleName
from pipeline.unlearning.unlearner import Request, ScheduledUnlearner, check_wanted_logits


class Matching(Descent, ScheduledUnlearner):
    """Descends the squared error to wanted logits.

    The default optimiser is Adam with a learning rate that falls by 5 % an epoch. The optimiser limits how
    close models come to the wanted logits: Muon (momentum 0.9, Nesterov, learning rate 0.02, linear schedule)
    leaves half of the distance that Adam leaves. Each member matches the forget set, listed
    `forget_multiplier` times, and `retain_points` points of the retain set. These points are drawn once,
    without replacement, with the member's own seed.
    """

    retain_points: int = setting(neutral=140, ge=0, le=10_000_000)
    forget_multiplier: int = setting(neutral=3, ge=1, le=100_000)
    epochs: int = setting(neutral=7, ge=1, le=100_000)
    batch_size: int = setting(neutral=8, ge=1, le=10_000_000)
    learning_rate: float = setting(neutral=5e-3, gt=0, le=1e6)
    optimizer: OptimizerName = setting(neutral="adam")
    schedule: ScheduleName = setting(neutral="exponential")

    @model_validator(mode="after")
    def _check_settings(self) -> "Matching":
        self.check_peak()
        return self

    @abstractmethod
    def wanted_logits(self, request: Request) -> Logits:
        """Return the logits to match, (n_members, n_points, n_classes)."""

    def _check_wanted_logits(self, found: Logits, request: Request) -> None:
        check_wanted_logits(found, request, "wanted logits")

    @override
    def phases(self, request: Request) -> list[Phase]:
        n_retain = min(self.retain_points, len(request.retain))
        samples = [
            generator("retain_sample", seed).choice(request.retain, n_retain, replace=False)
            for seed in request.seeds
        ]
        points = np.stack(
            [np.concatenate([np.tile(request.forget, self.forget_multiplier), sample]) for sample in samples]
        )
        targets = self.wanted_logits(request).astype(np.float32)
        return [
            Phase(
                points=points,
                objective=squared_error,
                descent=self.descent(),
                drop_last=False,
                targets=targets,
            )
        ]


class Dmm(Matching):
    """Datamodel Matching: the wanted logits are each model's own logits plus the scaled predicted effect.

    The effect is that of removing the forget set; `multiplier` scales it.
    """

    name: ClassVar[str] = "dmm"
    needs: ClassVar[frozenset[str]] = frozenset({"effect"})

    multiplier: float = setting(neutral=1.0, gt=0, le=1e6)

    @override
    def wanted_logits(self, request: Request) -> Logits:
        """Return the predicted logits of the oracles, computed once from the starting models and then fixed.

        Raises ConfigError if the request has no predicted effect.
        """
        if request.effect is None:
            raise ConfigError("dmm needs predicted effects; configure an estimator and a subset population")
        return np.asarray(request.logits + self.multiplier * request.effect)


class OracleMatching(Matching):
    """Oracle Matching: each model matches one true oracle.

    It never matches an average of oracles, because averages vary less than single oracles. The oracles to
    match, called teachers, are the `floor` population, so that no model is judged against an oracle that a
    model copied.
    """

    name: ClassVar[str] = "oracle_matching"
    needs: ClassVar[frozenset[str]] = frozenset({"oracle"})

    @override
    def wanted_logits(self, request: Request) -> Logits:
        """Return the teachers' logits.

        Raises ConfigError if the request has no oracles.
        """
        if request.oracle_logits is None:
            raise ConfigError(
                "oracle_matching needs true oracles; configure populations.floor, from which it takes its "
                "teachers"
            )
        return request.oracle_logits
