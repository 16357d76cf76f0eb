"""Data sets of image files, written as a user outside the package would write them."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline.data.dataset import Dataset
from pipeline.data.examples import Examples
from pipeline.data.image_files import ImageFiles
from pipeline.data.inputs import Inputs

N_CLASSES = 3


class Pictures(Dataset):
    """Images named LABEL-NUMBER.png, in the order of their numbers; the last quarter is for validation."""

    folder: Path

    def read(self) -> Examples:
        names = sorted((path.name for path in self.folder.glob("*.png")), key=lambda name: name.split("-")[1])
        labels = np.array([int(name.split("-")[0]) for name in names])
        return Examples(
            inputs=ImageFiles(self.folder, names),
            labels=labels,
            n_train=len(names) * 3 // 4,
            n_classes=N_CLASSES,
        )


class Forbidden(Inputs):
    """Inputs that must not be read."""

    shape, dtype, token = (80, 4), np.dtype(np.float32), "known"

    def take(self, ids: np.ndarray) -> np.ndarray:
        raise AssertionError("inputs were read")


class Unreadable(Dataset):
    """A data set whose inputs raise when they are read."""

    def read(self) -> Examples:
        return Examples(inputs=Forbidden(), labels=np.arange(80) % N_CLASSES, n_train=60, n_classes=N_CLASSES)


def make_images(folder: Path, n_images: int, side: int = 6) -> np.ndarray:
    """Write noisy images and return them, (n_images, 3, side, side) of uint8.

    Each image is brighter in the channel of its label.
    """
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    images = rng.integers(0, 150, (n_images, 3, side, side), dtype=np.uint8)
    for number, image in enumerate(images):
        image[number % N_CLASSES] += 100
        Image.fromarray(np.moveaxis(image, 0, 2)).save(
            folder / f"{number % N_CLASSES}-{number:06d}.png", compress_level=1
        )
    return images


def names_of(folder: Path) -> list[str]:
    """Return the names of images in the order of their numbers."""
    return sorted((path.name for path in folder.glob("*.png")), key=lambda name: name.split("-")[1])


def experiment_on(folder: Path) -> dict[str, Any]:
    """Return changes to the tiny experiment that let it train on images of a folder."""
    return {
        "dataset": {"name": "image_folder:Pictures", "folder": str(folder), "scaling": {"divide_by": 255}},
        "model": {"name": "cnn", "width": 2},
        "forget_sets": {
            "some": {"name": "random", "n_points": 5},
            "close": {"name": "coherent", "label": 1, "n_points": 5},
        },
        "unlearners": {"nothing": "no_op", "ascent": {"name": "gradient_ascent", "epochs": 1}},
    }
