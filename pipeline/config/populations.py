"""Where the models of each role come from.

How many are trained here and on what, or which source has them.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import model_validator

from pipeline.core.errors import SettingError, SettingProblem
from pipeline.core.registry import Settings
from pipeline.core.settings.neutral import setting
from pipeline.core.settings.paths import with_absolute_paths
from pipeline.core.settings.plugin_fields import maybe
from pipeline.core.settings.renamed import warn_renamed
from pipeline.models import MODELS
from pipeline.models.base import Model
from pipeline.sources import SOURCES
from pipeline.sources.base import ModelSource
from pipeline.training.populations import Recipe

# A hundred times the largest study there is: more is a slip of the hand, and listing its shards would take
# for ever.
MOST_MODELS = 2_000_000
# Roles that may have a model and a recipe of their own; designed subset models have those of `subset`.
PROXIES = ("subset", "scout", "heldout")


class Sourced(Settings):
    """Models of one role: trained here, or with `source` trained elsewhere.

    With a source n_models is at most how many of its models are used (all, if it is not set). keep_states
    says whether the weights of models trained here are kept in files beside the shards; it changes no result.
    """

    # The fewest models that can be trained here, and whether a source stands for all its models unless
    # n_models is set.
    fewest: ClassVar[int] = 2
    takes_all: ClassVar[bool] = True

    n_models: int = setting(neutral=100, ge=1, le=MOST_MODELS)
    source: Annotated[ModelSource | None, *maybe(SOURCES)] = setting(neutral=None)
    keep_states: bool = setting(neutral=False, in_identity=False)

    @model_validator(mode="before")
    @classmethod
    def _source_of(cls, settings: Any) -> Any:
        if not isinstance(settings, Mapping):
            return settings
        if "imported" in settings:
            settings = _renamed(settings)
        takes_all = settings.get("source") is not None and cls.takes_all
        return {"n_models": MOST_MODELS, **settings} if takes_all else settings

    @model_validator(mode="after")
    def _enough_trained(self) -> "Sourced":
        if self.source is None and self.n_models < self.fewest:
            raise ValueError(
                f"n_models is {self.n_models}; at least {self.fewest} models are trained, or name a source "
                "of one"
            )
        if (
            self.source is not None
            and self.keep_states
            and not type(self).model_fields["keep_states"].default
        ):
            raise ValueError(
                "keep_states is of models trained here; those of a source are read where they lie: leave it "
                "out"
            )
        return self

    @property
    def located_source(self) -> ModelSource | None:
        """The source as this process finds its files."""
        return None if self.source is None else with_absolute_paths(self.source)

    def count(self) -> int:
        """Return the number of models; raises DataError if those of a source cannot be read."""
        source = self.located_source
        return self.n_models if source is None else min(self.n_models, source.n_models())


class Subsets(Sourced):
    """Models trained on subsets that keep a fraction of the training points."""

    fewest: ClassVar[int] = 3

    n_models: int = setting(neutral=1000, ge=1, le=MOST_MODELS)
    keep_fraction: float = setting(neutral=0.85, gt=0, lt=1)


AnySubsets = TypeVar("AnySubsets", bound=Subsets)


class SubsetModels(Subsets):
    """Those that keep random points. With a source keep_fraction is that of the held-out models alone.

    model and recipe are those of a cheaper proxy, of designed subset models too (null: the experiment's).
    """

    model: Annotated[Model | None, *maybe(MODELS)] = setting(neutral=None)
    recipe: Recipe | None = setting(neutral=None)


class Focused(Settings):
    """Models for one forget set.

    N_models / 2 pairs of one seed that keep the same random keep_fraction of the other points, with all of
    the set or none.

    With keep_fraction 1 a pair is a full model, which exists anyway, and an oracle of the same seed: half the
    cost, and nothing to extrapolate.
    """

    n_models: int = setting(neutral=8, ge=4, le=MOST_MODELS, multiple_of=2)
    keep_fraction: float = setting(neutral=1.0, gt=0, le=1)

    @property
    def n_pairs(self) -> int:
        """Pairs."""
        return self.n_models // 2


class Members(Sourced):
    """A number of models."""


class FullModels(Members):
    """Models of all training points, from which unlearning starts."""

    keep_states: bool = setting(neutral=True, in_identity=False)


class ScoutModels(FullModels):
    """A few models of all training points that look at the data.

    Model and recipe may be those of a cheaper proxy.
    """

    model: Annotated[Model | None, *maybe(MODELS)] = setting(neutral=None)
    recipe: Recipe | None = setting(neutral=None)


class HeldoutModels(Members):
    """Models to be predicted. Of a source at most n_models are used, 100 unless that is set."""

    # Two would agree or not by chance.
    fewest: ClassVar[int] = 3
    takes_all: ClassVar[bool] = False

    model: Annotated[Model | None, *maybe(MODELS)] = setting(neutral=None)
    recipe: Recipe | None = setting(neutral=None)


class Populations(Settings):
    """How many models of each role, and where they come from.

    `subset` keeps random points, as `heldout` does, `designed` drops whole groups as `scout` models see them
    (null: none are trained). n_seeds is how many seeds `subset` and `designed` share, so that attribution can
    take their effect out (null: each model has its own). `focused` are trained for each forget set once it is
    known, to correct what the datamodel says of it (null: none are).
    """

    subset: SubsetModels = setting(neutral={}, default=SubsetModels())
    designed: Subsets | None = setting(
        neutral={"n_models": 2000, "keep_fraction": 0.92},
        default=Subsets(n_models=2000, keep_fraction=0.92),
    )
    n_seeds: int | None = setting(neutral=50, ge=2, le=MOST_MODELS)
    scout: ScoutModels = setting(neutral={"n_models": 10}, default=ScoutModels(n_models=10))
    focused: Focused | None = setting(neutral=None)
    heldout: HeldoutModels | None = setting(neutral={}, default=HeldoutModels())
    full: FullModels = setting(neutral={}, default=FullModels())
    oracle: Members = setting(neutral={}, default=Members())
    floor: Members = setting(neutral={}, default=Members())

    @model_validator(mode="before")
    @classmethod
    def _only_proxies(cls, roles: Any) -> Any:
        for role, settings in roles.items() if isinstance(roles, Mapping) else ():
            own = (
                {"model", "recipe"} & set(settings)
                if isinstance(settings, Mapping) and role not in PROXIES
                else set()
            )
            if own and role in cls.model_fields:
                shared = (
                    "those of populations.subset"
                    if role == "designed"
                    else "the experiment's, as it is compared with the models that unlearn"
                )
                words = f"its model and recipe are {shared}; remove {' and '.join(sorted(own))} here"
                raise SettingError(f"{role}: {words}", (SettingProblem((role,), words),))
        return roles

    def of(self, role: str) -> Sourced | None:
        """Return the settings of a role, None where it is null or not one of these."""
        found = getattr(self, role, None)
        return found if isinstance(found, Sourced) else None


def _renamed(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with `imported` under its new name; raises SettingError if both are given."""
    rest = {name: value for name, value in settings.items() if name != "imported"}
    if settings["imported"] is not None:
        if rest.get("source") is not None:
            raise SettingError("both `imported` and `source` are set; keep `source`")
        warn_renamed("`imported` of populations is called `source` now; it is accepted as such: rename it")
        rest["source"] = settings["imported"]
    return rest
