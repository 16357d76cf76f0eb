"""How many models of each role are trained, and on what."""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import model_validator

from pipeline.core.neutral import setting
from pipeline.core.plugin_fields import maybe
from pipeline.core.registry import Settings
from pipeline.data import RECORDS
from pipeline.data.records.base import Records

# A hundred times the largest study there is: more is a slip of the hand, and listing its shards would take for ever.
MOST_MODELS = 2_000_000


class Subsets(Settings):
    """Models trained on subsets that keep a fraction of the training points."""

    n_models: int = setting(neutral=1000, ge=3, le=MOST_MODELS)
    keep_fraction: float = setting(neutral=0.85, gt=0, lt=1)


AnySubsets = TypeVar("AnySubsets", bound=Subsets)


class SubsetModels(Subsets):
    """Those that keep random points; with `imported` they were trained elsewhere, and n_models is how many of those are used (all, if it is not set).

    keep_fraction is then that of the held-out models alone.
    """

    imported: Annotated[Records | None, *maybe(RECORDS)] = setting(neutral=None)

    @model_validator(mode="before")
    @classmethod
    def _all_of_them(cls, settings: Any) -> Any:
        imported = isinstance(settings, Mapping) and settings.get("imported") is not None
        return {"n_models": MOST_MODELS, **settings} if imported else settings


class Focused(Settings):
    """Models for one forget set: n_models / 2 pairs of one seed that keep the same random keep_fraction of the other points, with all of the set or none.

    With keep_fraction 1 a pair is a full model, which exists anyway, and an oracle of the same seed: half the cost, and nothing to extrapolate.
    """

    n_models: int = setting(neutral=8, ge=4, le=MOST_MODELS, multiple_of=2)
    keep_fraction: float = setting(neutral=1.0, gt=0, le=1)

    @property
    def n_pairs(self) -> int:
        """Pairs."""
        return self.n_models // 2


class Members(Settings):
    """A number of models."""

    n_models: int = setting(neutral=100, ge=2, le=MOST_MODELS)


class HeldoutModels(Members):
    """Models to be predicted; with `imported` they were trained elsewhere, and n_models is at most how many of those are used."""

    # Two would agree or not by chance.
    n_models: int = setting(neutral=100, ge=3, le=MOST_MODELS)
    imported: Annotated[Records | None, *maybe(RECORDS)] = setting(neutral=None)


class Populations(Settings):
    """How many models of each role.

    `subset` keeps random points, as `heldout` does, `designed` drops whole groups as `scout` models see them (null: none are trained). n_seeds
    is how many seeds `subset` and `designed` share, so that attribution can take their effect out (null: each model has its own). `focused` are
    trained for each forget set once it is known, to correct what the datamodel says of it (null: none are).
    """

    subset: SubsetModels = setting(neutral={}, default=SubsetModels())
    designed: Subsets | None = setting(
        neutral={"n_models": 2000, "keep_fraction": 0.92},
        default=Subsets(n_models=2000, keep_fraction=0.92),
    )
    n_seeds: int | None = setting(neutral=50, ge=2, le=MOST_MODELS)
    scout: Members = setting(neutral={"n_models": 10}, default=Members(n_models=10))
    focused: Focused | None = setting(neutral=None)
    heldout: HeldoutModels | None = setting(neutral={}, default=HeldoutModels())
    full: Members = setting(neutral={}, default=Members())
    oracle: Members = setting(neutral={}, default=Members())
    floor: Members = setting(neutral={}, default=Members())
