"""The base class of the gradient baselines of the literature, which descend one objective on some points."""

from pydantic import model_validator
from typing_extensions import override

from pipeline.core.arrays import Indices
from pipeline.core.settings.neutral import setting
from pipeline.data.examples import Examples
from pipeline.training.recipe.augmentation import Augmentation
from pipeline.training.recipe.objectives import Objective
from pipeline.training.recipe.schedule import Descent, Phase
from pipeline.unlearning.unlearner import Request, ScheduledUnlearner, same_for_all


class GradientBaseline(Descent, ScheduledUnlearner):
    """Settings of the literature's baselines: SGD, momentum 0.9, weight decay 5e-4, batches of 64.

    flip and crop_padding (pixels) augment images at random, as in a recipe.
    """

    epochs: int = setting(neutral=5, ge=1, le=100_000)
    batch_size: int = setting(neutral=64, ge=1, le=10_000_000)
    learning_rate: float = setting(neutral=1e-3, gt=0, le=1e6)
    momentum: float = setting(neutral=0.9, ge=0, lt=1)
    weight_decay: float = setting(neutral=5e-4, ge=0, le=1e6)

    flip: bool = setting(neutral=False)
    crop_padding: int = setting(neutral=0, ge=0, le=1000)

    @model_validator(mode="after")
    def _check_settings(self) -> "GradientBaseline":
        self.check_peak()
        return self

    @property
    def augmentation(self) -> Augmentation:
        """The random augmentation of images."""
        return Augmentation(flip=self.flip, crop_padding=self.crop_padding)

    @override
    def check(self, examples: Examples) -> None:
        """Raise ConfigError if images are to be augmented but the data hold none."""
        self.augmentation.check(examples.input_shape)

    def phase(self, request: Request, points: Indices, objective: Objective) -> Phase:
        """Return the phase that descends objective on points; all members share these points.

        A short last batch is kept.
        """
        return Phase(
            points=same_for_all(points, len(request.seeds)),
            objective=objective,
            descent=self.descent(),
            augmentation=self.augmentation,
            drop_last=False,
        )
