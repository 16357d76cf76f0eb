"""A user's unlearner after SCRUB (Kurmanji et al. 2023).

It has a teacher, and two objectives that alternate on one optimiser.
"""

from pipeline.core.settings.neutral import setting
from pipeline.training.recipe.objectives import Ascent, CrossEntropy, KlToTeacher, WeightedSum
from pipeline.training.recipe.schedule import Descent, Phase
from pipeline.unlearning.unlearner import Request, ScheduledUnlearner, same_for_all


class ScrubLike(Descent, ScheduledUnlearner):
    """Climbs away from the teacher on the forget set and stays with it on the retain set.

    It climbs in the first `ascents` epochs and stays in all epochs. The teacher is each model itself, before
    it forgets.
    """

    epochs: int = setting(neutral=3, ge=1)
    batch_size: int = setting(neutral=16, ge=1)
    learning_rate: float = setting(neutral=5e-3, gt=0)
    momentum: float = setting(neutral=0.9, ge=0, lt=1)
    ascents: int = setting(neutral=2, ge=0)
    temperature: float = setting(neutral=4.0, gt=0)
    distillation: float = setting(neutral=0.1, ge=0)

    def phases(self, request: Request) -> list[Phase]:
        """Return a phase on the forget set and one on the retain set for each epoch, all of one track."""
        teacher = KlToTeacher(self.temperature)
        stay = WeightedSum(((1.0, CrossEntropy()), (self.distillation, teacher)))
        found = []
        for epoch in range(self.epochs):
            chosen = [(request.forget, Ascent(teacher))] if epoch < self.ascents else []
            for points, objective in [*chosen, (request.retain, stay)]:
                found.append(
                    Phase(
                        points=same_for_all(points, len(request.seeds)),
                        objective=objective,
                        descent=self.descent().model_copy(update={"epochs": 1}),
                        drop_last=False,
                        targets=request.logits,
                        track="student",
                    )
                )
        return found
