"""Handwritten digits that come with scikit-learn.

They are 1,797 real images of 8 x 8 pixels in 10 classes, so the demonstration needs no network.
"""

from typing import ClassVar

import numpy as np
from typing_extensions import override

from pipeline.core import seeds
from pipeline.core.settings.neutral import setting
from pipeline.data.dataset import Dataset
from pipeline.data.examples import Examples

N_IMAGES = 1797
BRIGHTEST = 16.0


class Digits(Dataset):
    """The digits, shuffled once by seed; the first n_train are for training, the others for validation."""

    name: ClassVar[str] = "digits"

    n_train: int = setting(neutral=1400, ge=1, lt=N_IMAGES)
    seed: int = setting(neutral=0)

    @override
    def read(self) -> Examples:
        """Return the images as inputs (1797, 1, 8, 8) in [0, 1].

        Source: Alpaydin and Kaynak 1998, test part, as shipped in scikit-learn.
        """
        # Imported here, because the import takes a second, and every worker would pay for it.
        from sklearn.datasets import load_digits

        pixels, labels = load_digits(return_X_y=True)
        order = seeds.generator("digits", self.seed).permutation(N_IMAGES)
        inputs = (pixels[order] / BRIGHTEST).astype(np.float32).reshape(-1, 1, 8, 8)
        return Examples(
            inputs=inputs, labels=labels[order].astype(np.int64), n_train=self.n_train, n_classes=10
        )
