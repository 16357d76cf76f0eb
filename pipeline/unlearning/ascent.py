"""Gradient ascent on the forget set: the cheapest rival, blind to where each point should stop."""

from typing import ClassVar

from pydantic import Field

from pipeline.training.schedule import Descent, Phase, ascent
from pipeline.unlearning.unlearner import Request, ScheduledUnlearner, same_for_all


class GradientAscent(ScheduledUnlearner):
    """Climbs the cross-entropy of the forget set (SGD, momentum .9, weight decay 5e-4, as in the literature's baselines)."""

    name: ClassVar[str] = "gradient_ascent"

    epochs: int = Field(default=5, ge=1)
    batch_size: int = Field(default=64, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=5e-4, ge=0)

    def phases(self, request: Request) -> list[Phase]:
        """Return the one phase of ascent."""
        descent = Descent(**self.model_dump())
        return [Phase(points=same_for_all(request.forget, len(request.seeds)), objective=ascent, descent=descent, drop_last=False)]
