"""Settings of the models of each role: how many are trained here, or which source has them."""

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
from pipeline.training.recipe.recipe import Recipe

# The largest number of models that a setting accepts, a hundred times that of the largest known study. A
# larger number is a typing error, and listing its shards would take too long.
MOST_MODELS = 2_000_000
# Roles that may have a model and a recipe of their own. Designed subset models use those of `subset`.
PROXIES = ("subset", "scout", "heldout")


class Sourced(Settings):
    """Models of one role: n_models are trained here, or `source` holds models trained elsewhere.

    With a source, n_models limits how many of its models are used; if n_models is not set, all are used.
    keep_states keeps the weights of models trained here in files beside the shards. It changes no result.
    """

    # fewest is the smallest number of models that can be trained here. If takes_all is true, all models of a
    # source are used unless n_models is set.
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
                "keep_states is only for models trained here; the states of a source are read in place: "
                "leave it out"
            )
        return self

    @property
    def located_source(self) -> ModelSource | None:
        """The source with absolute paths, so that this process finds its files."""
        return None if self.source is None else with_absolute_paths(self.source)

    def count(self) -> int:
        """Return the number of models; raises DataError if the models of a source cannot be read."""
        source = self.located_source
        return self.n_models if source is None else min(self.n_models, source.n_models())


class Subsets(Sourced):
    """Models trained on subsets that keep a fraction of the training points."""

    fewest: ClassVar[int] = 3

    n_models: int = setting(neutral=1000, ge=1, le=MOST_MODELS)
    keep_fraction: float = setting(neutral=0.85, gt=0, lt=1)


AnySubsets = TypeVar("AnySubsets", bound=Subsets)


class SubsetModels(Subsets):
    """Models trained on random subsets of the training points.

    keep_fraction also holds for held-out models; if subset models come from a source, only for these. model
    and recipe may describe a cheaper proxy, for subset and designed models (null: those of the experiment).
    """

    model: Annotated[Model | None, *maybe(MODELS)] = setting(neutral=None)
    recipe: Recipe | None = setting(neutral=None)


class Focused(Settings):
    """Pairs of models, with and without one forget set, that correct the datamodel's prediction for this set.

    There are n_models / 2 pairs. Both models of a pair have the same seed and keep the same random
    keep_fraction of the other points. One of them keeps the whole forget set, the other none of it.

    With keep_fraction 1, a pair is a full model and a model retrained without the forget set, of the same
    seed. The full model is trained anyway, so the cost is half. Such pairs measure the removal from all
    training points, not from a part of them.
    """

    n_models: int = setting(neutral=8, ge=4, le=MOST_MODELS, multiple_of=2)
    keep_fraction: float = setting(neutral=1.0, gt=0, le=1)

    @property
    def n_pairs(self) -> int:
        """The number of pairs."""
        return self.n_models // 2


class Members(Sourced):
    """Models of a role that has no setting keep_fraction."""


class FullModels(Members):
    """Models trained on all training points; unlearning starts from them."""

    keep_states: bool = setting(neutral=True, in_identity=False)


class ScoutModels(FullModels):
    """A few models, trained on all points, that show which points look alike and which are hard.

    model and recipe may be those of a cheaper proxy.
    """

    model: Annotated[Model | None, *maybe(MODELS)] = setting(neutral=None)
    recipe: Recipe | None = setting(neutral=None)


class HeldoutModels(Members):
    """Subset models that no datamodel learns from; their outputs test the predictions of datamodels.

    At most n_models models of a source are used, or 100 if n_models is not set.
    """

    # The LDS ranks these models. Two of them give a rank correlation of 1 or -1 by chance.
    fewest: ClassVar[int] = 3
    takes_all: ClassVar[bool] = False

    model: Annotated[Model | None, *maybe(MODELS)] = setting(neutral=None)
    recipe: Recipe | None = setting(neutral=None)


class Populations(Settings):
    """How many models each role has, and where they come from.

    `subset` and `heldout` models are trained on random points. `designed` models leave out whole groups of
    points that the scouts find (null: none are trained). `subset` and `designed` models share n_seeds seeds,
    so attribution can remove the effect of the seed (null: each model has its own seed). `focused` models are
    trained for each forget set, to correct the prediction of the datamodel (null: none are trained).
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
        """Return the settings of a role; None if the role is null, `focused` or unknown."""
        found = getattr(self, role, None)
        return found if isinstance(found, Sourced) else None


def _renamed(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with `imported` renamed to `source`; raises SettingError if both are given."""
    rest = {name: value for name, value in settings.items() if name != "imported"}
    if settings["imported"] is not None:
        if rest.get("source") is not None:
            raise SettingError("both `imported` and `source` are set; keep `source`")
        warn_renamed("`imported` of populations is called `source` now; it is accepted as such: rename it")
        rest["source"] = settings["imported"]
    return rest
