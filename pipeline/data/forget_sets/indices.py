"""Forget sets listed in the config, id by id."""

from typing import Any, ClassVar

import numpy as np
from pydantic import Field, field_validator
from typing_extensions import override

from pipeline.core.arrays import Indices, Margins
from pipeline.data.examples import Examples
from pipeline.data.forget_sets.base import ForgetSet, checked_forget_set
from pipeline.data.point_ids import checked_ids


class IndexList(ForgetSet):
    """The training points with these ids, in any order."""

    name: ClassVar[str] = "indices"

    ids: tuple[int, ...] = Field(min_length=1)

    @field_validator("ids", mode="before")
    @classmethod
    def _check_ids(cls, ids: Any) -> tuple[int, ...]:
        return checked_ids(ids)

    @override
    def select(self, examples: Examples, margins: Margins | None) -> Indices:
        """Return ids, sorted; raises DataError if one is no training point or listed twice."""
        return checked_forget_set(np.array(self.ids), examples)
