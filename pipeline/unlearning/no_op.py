"""Doing nothing: what every other unlearner has to beat."""

from typing import ClassVar

from pipeline.unlearning.unlearner import Request, Unlearned, Unlearner


class NoOp(Unlearner):
    """Keeps the models as they are, at no cost."""

    name: ClassVar[str] = "no_op"
    moves_weights: ClassVar[bool] = False

    def unlearn(self, request: Request) -> Unlearned:
        """Return the models unchanged."""
        return Unlearned(states=request.states, logits=request.logits, n_samples=0)
