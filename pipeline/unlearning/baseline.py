"""What the gradient baselines of the literature share: plain SGD on some points towards some objective."""

from pipeline.core.arrays import Indices
from pipeline.core.neutral import setting
from pipeline.training.schedule import Descent, Objective, Phase
from pipeline.unlearning.unlearner import Request, ScheduledUnlearner, same_for_all


class GradientBaseline(ScheduledUnlearner):
    """Settings of the literature's baselines: SGD, momentum .9, weight decay 5e-4, batches of 64 (method.md §5)."""

    epochs: int = setting(neutral=5, ge=1, le=100_000)
    batch_size: int = setting(neutral=64, ge=1, le=10_000_000)
    learning_rate: float = setting(neutral=1e-3, gt=0, le=1e6)
    momentum: float = setting(neutral=0.9, ge=0, lt=1)
    weight_decay: float = setting(neutral=5e-4, ge=0, le=1e6)

    def phase(self, request: Request, points: Indices, objective: Objective) -> Phase:
        """Return the phase that descends objective on points, the same for every member; a short last batch is kept."""
        listed = same_for_all(points, len(request.seeds))
        return Phase(points=listed, objective=objective, descent=Descent.of(self), drop_last=False)
