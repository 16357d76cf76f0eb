"""The settings of two parts of the convex study, real data and guarantees, each with its data set."""

from typing import Annotated

from pydantic import model_validator

from pipeline.core.settings.neutral import setting
from pipeline.core.settings.plugin_fields import plugin
from pipeline.data import DATASETS
from pipeline.data.dataset import Dataset
from pipeline.data.datasets.digits import Digits
from pipeline.studies.convex.guarantees.trials import GuaranteeSettings
from pipeline.studies.convex.real.real_study import DataStudy


class DataSection(DataStudy):
    """The settings of the part on one real data set, which may differ from the experiment's data set.

    If `optional` is true and the package that provides the data set is not installed, the part is left out,
    and the page says so.
    """

    dataset: Annotated[Dataset, *plugin(DATASETS)] = setting(neutral={"name": "digits"}, default=Digits())
    optional: bool = setting(neutral=False)

    @property
    def study(self) -> DataStudy:
        """The same settings without `dataset` and `optional`."""
        return DataStudy(**self.model_dump(exclude={"dataset", "optional"}))


class GuaranteeSection(GuaranteeSettings):
    """The settings of the tests of guarantees, which use two classes of a data set.

    Images are averaged over squares of `pool` by `pool` pixels. With so few features, thousands of models
    train in seconds.
    """

    dataset: Annotated[Dataset, *plugin(DATASETS)] = setting(neutral={"name": "digits"}, default=Digits())
    classes: tuple[int, int] = setting(neutral=(3, 8))
    pool: int = setting(neutral=2, ge=1, le=10_000)

    @model_validator(mode="after")
    def _check(self) -> "GuaranteeSection":
        if self.classes[0] == self.classes[1] or min(self.classes) < 0:
            raise ValueError(f"classes are {self.classes}; name two different classes")
        return self

    @property
    def trial(self) -> GuaranteeSettings:
        """The same settings without `dataset`, `classes` and `pool`."""
        return GuaranteeSettings(**self.model_dump(exclude={"dataset", "classes", "pool"}))
