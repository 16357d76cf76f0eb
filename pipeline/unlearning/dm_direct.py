"""DM-Direct: the datamodel's prediction itself as the unlearned output.

A predictor: no weight moves, so nothing can be deployed from it.
"""

from typing import ClassVar

from pipeline.core.errors import ConfigError
from pipeline.core.settings.neutral import setting
from pipeline.unlearning.unlearner import Request, Unlearned, Unlearner


class DmDirect(Unlearner):
    """Adds `multiplier` × the predicted effect to each model's own logits (method.md §3).

    Each model keeps its own randomness.
    """

    name: ClassVar[str] = "dm_direct"
    needs: ClassVar[frozenset[str]] = frozenset({"effect"})
    moves_weights: ClassVar[bool] = False

    multiplier: float = setting(neutral=1.0, ge=0, le=1e6)

    def unlearn(self, request: Request) -> Unlearned:
        """Return the unchanged models with the predicted logits."""
        if request.effect is None:
            raise ConfigError(
                "dm_direct needs predicted effects; configure an estimator and a subset population"
            )
        logits = request.logits + self.multiplier * request.effect.astype(request.logits.dtype)
        return Unlearned(states=request.states, logits=logits, n_samples=0)
