"""Fine-tuning on the retain set (GD): hope that what is no longer rehearsed fades."""

from typing import ClassVar

from pipeline.training.recipe.objectives import cross_entropy
from pipeline.training.recipe.schedule import Phase
from pipeline.unlearning.baseline import GradientBaseline
from pipeline.unlearning.unlearner import Request


class Finetune(GradientBaseline):
    """Descends the cross-entropy of the retain set."""

    name: ClassVar[str] = "finetune"

    def phases(self, request: Request) -> list[Phase]:
        """Return the one phase of descent."""
        return [self.phase(request, request.retain, cross_entropy)]
