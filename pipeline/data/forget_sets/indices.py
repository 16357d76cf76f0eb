"""Forget sets written out in the config, id by id."""

from typing import Any, ClassVar

import numpy as np
from pydantic import Field, field_validator

from pipeline.core.arrays import Indices, Margins
from pipeline.data.examples import Examples
from pipeline.data.forget_sets.base import ForgetSet, checked


class IndexList(ForgetSet):
    """The training points with these ids, in any order."""

    name: ClassVar[str] = "indices"

    ids: tuple[int, ...] = Field(min_length=1)

    @field_validator("ids", mode="before")
    @classmethod
    def _no_truths(cls, ids: Any) -> Any:
        if isinstance(ids, list | tuple) and any(isinstance(one, bool) for one in ids):
            raise ValueError("true and false are no training ids; list integers")
        return ids

    def select(self, examples: Examples, margins: Margins | None) -> Indices:
        """Return ids, sorted; raises DataError if one is no training point or listed twice."""
        return checked(np.array(self.ids), examples)
