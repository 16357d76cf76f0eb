"""Gradient ascent on the forget set: the cheapest rival, blind to where each point should stop."""

from typing import ClassVar

from pipeline.training.recipe.objectives import ascent
from pipeline.training.recipe.schedule import Phase
from pipeline.unlearning.baseline import GradientBaseline
from pipeline.unlearning.unlearner import Request


class GradientAscent(GradientBaseline):
    """Climbs the cross-entropy of the forget set."""

    name: ClassVar[str] = "gradient_ascent"

    def phases(self, request: Request) -> list[Phase]:
        """Return the one phase of ascent."""
        return [self.phase(request, request.forget, ascent)]
