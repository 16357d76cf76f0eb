"""DM-Direct takes the datamodel's prediction as the unlearned output.

It only predicts: no weights change, so there is no model to deploy.
"""

from typing import ClassVar

from typing_extensions import override

from pipeline.core.errors import ConfigError
from pipeline.core.settings.neutral import setting
from pipeline.unlearning.unlearner import Request, Unlearned, Unlearner


class DmDirect(Unlearner):
    """Adds `multiplier` × the predicted effect to each model's own logits.

    All models get the same effect, so the differences between them stay. Source: Georgiev et al. 2025,
    DM-Direct.
    """

    name: ClassVar[str] = "dm_direct"
    needs: ClassVar[frozenset[str]] = frozenset({"effect"})
    moves_weights: ClassVar[bool] = False

    multiplier: float = setting(neutral=1.0, ge=0, le=1e6)

    @override
    def unlearn(self, request: Request) -> Unlearned:
        """Return the unchanged models with the predicted logits.

        Raises ConfigError if the request has no predicted effect.
        """
        if request.effect is None:
            raise ConfigError(
                "dm_direct needs predicted effects; configure an estimator and a subset population"
            )
        logits = request.logits + self.multiplier * request.effect.astype(request.logits.dtype)
        return Unlearned(states=request.states, logits=logits, n_samples=0)
