"""The recipe: the settings by which every model of an experiment is trained."""

from typing import Literal

from pydantic import model_validator

from pipeline.core.settings.neutral import setting
from pipeline.training.recipe.augmentation import Augmentation
from pipeline.training.recipe.objectives import TRAINING_OBJECTIVES, CrossEntropy, LabelSquaredError
from pipeline.training.recipe.schedule import Descent, ScheduleName


class Recipe(Descent):
    """How every model of an experiment is trained.

    objective: `squared_error` compares logits with the one-hot label. flip and crop_padding (pixels) augment
    training images at random, see Augmentation. ensemble: `stacked` runs many members at once, `looped` runs
    them one by one, `auto` times both once and records the faster one in the store.
    """

    epochs: int = setting(neutral=15, ge=1, le=100_000)
    batch_size: int = setting(neutral=64, ge=1, le=10_000_000)
    learning_rate: float = setting(neutral=0.2, gt=0, le=1e6)
    momentum: float = setting(neutral=0.9, ge=0, lt=1)
    weight_decay: float = setting(neutral=5e-4, ge=0, le=1e6)
    schedule: ScheduleName = setting(neutral="linear")
    objective: Literal["cross_entropy", "squared_error"] = setting(neutral="cross_entropy")
    label_smoothing: float = setting(neutral=0.0, ge=0, lt=1)
    flip: bool = setting(neutral=False)
    crop_padding: int = setting(neutral=0, ge=0, le=1000)
    ensemble: Literal["auto", "stacked", "looped"] = setting(neutral="auto")

    @model_validator(mode="after")
    def _check_settings(self) -> "Recipe":
        self.check_peak()
        return self

    @property
    def augmentation(self) -> Augmentation:
        """The random changes of training images."""
        return Augmentation(flip=self.flip, crop_padding=self.crop_padding)

    def loss(self) -> CrossEntropy | LabelSquaredError:
        """Return the objective of training."""
        return TRAINING_OBJECTIVES[self.objective](label_smoothing=self.label_smoothing)
