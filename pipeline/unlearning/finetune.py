"""Fine-tuning on the retain set (GD): hope that what is no longer rehearsed fades."""

from typing import ClassVar

from pydantic import Field

from pipeline.training.schedule import Descent, Phase, cross_entropy
from pipeline.unlearning.unlearner import Request, ScheduledUnlearner, same_for_all


class Finetune(ScheduledUnlearner):
    """Descends the cross-entropy of the retain set (SGD, momentum .9, weight decay 5e-4, as in the literature's baselines)."""

    name: ClassVar[str] = "finetune"

    epochs: int = Field(default=5, ge=1)
    batch_size: int = Field(default=64, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=5e-4, ge=0)

    def phases(self, request: Request) -> list[Phase]:
        """Return the one phase of descent."""
        descent = Descent(**self.model_dump())
        return [Phase(points=same_for_all(request.retain, len(request.seeds)), objective=cross_entropy, descent=descent, drop_last=False)]
