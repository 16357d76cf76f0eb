"""Points as reports show them: with their split, their labels before and after noise, and their images.

A point whose input is not an image is shown without one.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.core.arrays import Indices, Labels
from pipeline.core.registry import plugin_name
from pipeline.data.dataset import Dataset
from pipeline.data.examples import Examples
from pipeline.results.attribution_content import PointContent
from pipeline.results.report_content import DatasetContent


@dataclass(frozen=True, kw_only=True, eq=False)
class Pictures:
    """All points of a data set, as reports show them.

    true_labels (n_points,) are the labels before noise; None if no noise was added on purpose.
    """

    examples: Examples
    true_labels: Labels | None

    @classmethod
    def of(cls, dataset: Dataset, examples: Examples) -> "Pictures":
        """Return the pictures of a data set that was loaded as examples."""
        return cls(
            examples=examples,
            true_labels=dataset.read_outline().labels if dataset.label_noise is not None else None,
        )

    def points(self, ids: Indices) -> tuple[PointContent, ...]:
        """Return points as reports show them."""
        given = self.examples.labels[ids].tolist()
        true = given if self.true_labels is None else self.true_labels[ids].tolist()
        images = _images_of(self.examples.inputs_of(ids))
        return tuple(
            PointContent(
                id=index,
                split="training" if index < self.examples.n_train else "validation",
                label=str(given[place]) if true[place] == given[place] else f"{given[place]} → {true[place]}",
                is_flipped=true[place] != given[place],
                image=None if images is None else images[place],
            )
            for place, index in enumerate(ids.tolist())
        )

    def point(self, index: int) -> PointContent:
        """Return one point as reports show it."""
        return self.points(np.array([index]))[0]


def _images_of(inputs: np.ndarray) -> np.ndarray | None:
    """Return inputs as (n, height, width) or (n, height, width, 3); None if they are no images."""
    if inputs.ndim == 4 and inputs.shape[1] in (1, 3):
        return inputs[:, 0] if inputs.shape[1] == 1 else np.moveaxis(inputs, 1, -1)
    return inputs if inputs.ndim == 3 else None


def dataset_content(dataset: Dataset, examples: Examples) -> DatasetContent:
    """Return the content that describes a data set in reports."""
    return DatasetContent(
        name=plugin_name(dataset),
        n_train=examples.n_train,
        n_validation=examples.n_points - examples.n_train,
        n_classes=examples.n_classes,
        n_mislabelled=len(examples.mislabelled),
    )
