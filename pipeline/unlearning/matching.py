"""Matching: fine-tune to wanted logits on the forget set and a sample of the retain set.

Datamodel Matching takes the logits that a datamodel predicts for a model retrained without the forget set;
Oracle Matching takes those of a true oracle, which is what one wants to avoid training: it bounds what
matching can reach. (Georgiev et al. 2025, algorithms 1 and 2.)
"""

from abc import abstractmethod
from typing import ClassVar

import numpy as np
from pydantic import model_validator

from pipeline.core.arrays import Logits
from pipeline.core.errors import ConfigError
from pipeline.core.seeds import generator
from pipeline.core.settings.neutral import setting
from pipeline.training.recipe.objectives import squared_error
from pipeline.training.recipe.schedule import Descent, OptimizerName, Phase, ScheduleName
from pipeline.unlearning.unlearner import Request, ScheduledUnlearner, check_wanted_logits


class Matching(Descent, ScheduledUnlearner):
    """Descends the squared error to wanted logits, by default with Adam and a learning rate that loses 5 % an epoch.

    The optimiser limits how close models come: Muon (momentum .9, nesterov, rate .02, linear) leaves half of
    what Adam leaves. Each member matches the forget set, listed `forget_multiplier` times, and
    `retain_points` of the retain set, drawn once without replacement under the member's own seed.
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

    def phases(self, request: Request) -> list[Phase]:
        """Return the one phase of matching."""
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
    """Datamodel Matching: the wanted logits are each model's own plus `multiplier` × the predicted effect of removing the forget set."""

    name: ClassVar[str] = "dmm"
    needs: ClassVar[frozenset[str]] = frozenset({"effect"})

    multiplier: float = setting(neutral=1.0, gt=0, le=1e6)

    def wanted_logits(self, request: Request) -> Logits:
        """Return the predicted oracle's logits, computed once from the starting models and frozen."""
        if request.effect is None:
            raise ConfigError("dmm needs predicted effects; configure an estimator and a subset population")
        return np.asarray(request.logits + self.multiplier * request.effect)


class OracleMatching(Matching):
    """Oracle Matching: each model matches one true oracle, never an average, whose spread would be too small.

    The teachers are the `floor` population, so that no model is judged against the oracle it copied.
    """

    name: ClassVar[str] = "oracle_matching"
    needs: ClassVar[frozenset[str]] = frozenset({"oracle"})

    def wanted_logits(self, request: Request) -> Logits:
        """Return the teachers' logits."""
        if request.oracle_logits is None:
            raise ConfigError(
                "oracle_matching needs true oracles; configure populations.floor, from which it takes its "
                "teachers"
            )
        return request.oracle_logits
