"""Doing nothing, the baseline that every other unlearner has to beat."""

from typing import ClassVar

from typing_extensions import override

from pipeline.unlearning.unlearner import Request, Unlearned, Unlearner


class NoOp(Unlearner):
    """Keeps the models as they are, at no cost."""

    name: ClassVar[str] = "no_op"
    moves_weights: ClassVar[bool] = False

    @override
    def unlearn(self, request: Request) -> Unlearned:
        return Unlearned(states=request.states, logits=request.logits, n_samples=0)
