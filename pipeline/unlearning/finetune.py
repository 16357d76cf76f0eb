"""Fine-tuning on the retain set, called GD (gradient descent) in the literature.

The model should forget the points on which it no longer trains.
"""

from typing import ClassVar

from typing_extensions import override

from pipeline.training.recipe.objectives import cross_entropy
from pipeline.training.recipe.schedule import Phase
from pipeline.unlearning.baseline import GradientBaseline
from pipeline.unlearning.unlearner import Request


class Finetune(GradientBaseline):
    """Descends the cross-entropy of the retain set."""

    name: ClassVar[str] = "finetune"

    @override
    def phases(self, request: Request) -> list[Phase]:
        return [self.phase(request, request.retain, cross_entropy)]
