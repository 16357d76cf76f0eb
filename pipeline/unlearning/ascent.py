"""Gradient ascent on the forget set, the cheapest baseline.

It does not know how far the loss of each point should rise.
"""

from typing import ClassVar

from typing_extensions import override

from pipeline.training.recipe.objectives import ascent
from pipeline.training.recipe.schedule import Phase
from pipeline.unlearning.baseline import GradientBaseline
from pipeline.unlearning.unlearner import Request


class GradientAscent(GradientBaseline):
    """Ascends the cross-entropy of the forget set."""

    name: ClassVar[str] = "gradient_ascent"

    @override
    def phases(self, request: Request) -> list[Phase]:
        return [self.phase(request, request.forget, ascent)]
