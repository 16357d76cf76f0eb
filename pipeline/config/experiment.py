"""The whole experiment as one frozen, validated tree of settings.

All names, plug-ins and ranges are checked before anything runs.
"""

import math
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from pipeline.attribution import ESTIMATORS
from pipeline.attribution.estimator import Estimator
from pipeline.attribution.linear.kernel import GroupKernel
from pipeline.config.judges import Judges, check_judges, judges_by_default, successor_of_evaluation
from pipeline.config.populations import MOST_MODELS, AnySubsets, Populations
from pipeline.config.study_keys import StudyKeys, without_study_names
from pipeline.core.errors import ConfigError, SettingError, refusing
from pipeline.core.fingerprint import digest
from pipeline.core.hidden_passwords import masked
from pipeline.core.registry import Settings, identity, plugin_name
from pipeline.core.settings import yaml_text
from pipeline.core.settings.neutral import setting
from pipeline.core.settings.plugin_fields import LABEL, plugin, plugins
from pipeline.core.settings.tracking_address import check_experiment_name, check_form
from pipeline.data import DATASETS, FORGET_SETS
from pipeline.data.dataset import Dataset
from pipeline.data.datasets.digits import Digits
from pipeline.data.forget_sets.base import ForgetSet
from pipeline.graph.logits_layout import Layout
from pipeline.graph.node import Resources
from pipeline.models import MODELS
from pipeline.models.base import Model
from pipeline.models.mlp import Mlp
from pipeline.training.recipe.recipe import Recipe
from pipeline.unlearning import UNLEARNERS
from pipeline.unlearning.unlearner import Unlearner

# Inputs that an estimator may need; class Estimator says what each holds.
EVIDENCE = frozenset({"subset", "groups", "views", "checkpoints"})
# Settings that say where an experiment runs, where its tables are stored, and where it is logged to MLflow.
PLACES = frozenset({"store", "tracking", "resources"})
# Settings outside an experiment's identity: with other places or other judges it is the same experiment.
BESIDE_IDENTITY = PLACES | {"judges"}


class StageResources(Settings):
    """Resources of one task: for training, for unlearning, and for tasks that only compute with arrays.

    `fit` is for the tasks of attribution, such as fitting and scoring datamodels; they may need more memory
    than other array tasks. If `fit` is not set, they use `compute`. If no node of the cluster offers the
    resources, a task waits patience_seconds for such a node. Raise this value if an autoscaler must start
    nodes.
    """

    train: Resources = Resources()
    unlearn: Resources = Resources()
    compute: Resources = Resources()
    fit: Resources | None = None
    patience_seconds: float = Field(default=60.0, gt=0, le=1e9)


class StoreSettings(Settings):
    """Where tables are stored, how many models share a shard, and how logits are stored.

    uri is a folder or an address such as s3://bucket/prefix. A shard of a population holds shard_members
    models, or fewer if training them would take too long.
    """

    uri: str = "runs"
    shard_members: int = Field(default=100, ge=1, le=MOST_MODELS)
    layout: Layout = Layout()


class Tracking(Settings):
    """Where results are logged to MLflow, and how much is logged.

    uri is the address of MLflow, or `none` for no logging. If it is not set, MLFLOW_TRACKING_URI is used, or
    else a database in the store. For each unlearner and forget set, save_members unlearned models are kept as
    checkpoints and logged. Of a file above max_artifact_mb only a reference is logged.
    """

    uri: str | None = None
    experiment: str = "unlearning"
    save_members: int = Field(default=1, ge=0, le=MOST_MODELS)
    max_artifact_mb: float = Field(default=64.0, gt=0, le=1e6)

    @field_validator("uri")
    @classmethod
    def _check(cls, uri: str | None) -> str | None:
        if uri is not None and masked(uri) != uri:
            raise SettingError(
                f"{masked(uri)!r} contains a password, which would be logged with the config; give the "
                "address without it, and set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD where "
                "it runs; before a database put an MLflow server"
            )
        if uri:
            with refusing():
                check_form(uri)
        return uri

    @field_validator("experiment")
    @classmethod
    def _check_experiment(cls, name: str) -> str:
        with refusing():
            check_experiment_name(name)
        return name


class Experiment(StudyKeys):
    """All settings of a run.

    Keys under forget_sets, unlearners, judges and studies are labels of the user's choice.
    """

    name: str = setting(neutral="digits", pattern=f"^{LABEL.pattern}$")
    seed: int = setting(neutral=0, ge=0)
    dataset: Annotated[Dataset, *plugin(DATASETS)] = setting(neutral={"name": "digits"}, default=Digits())
    model: Annotated[Model, *plugin(MODELS)] = setting(neutral={"name": "mlp"}, default=Mlp())
    recipe: Recipe = setting(neutral={}, default=Recipe())
    populations: Populations = setting(neutral={}, default=Populations())
    forget_sets: Annotated[dict[str, ForgetSet], *plugins(FORGET_SETS)] = Field(min_length=1)
    estimator: Annotated[Estimator, *plugin(ESTIMATORS)] = setting(
        neutral={"name": "kernel"}, default=GroupKernel()
    )
    unlearners: Annotated[dict[str, Unlearner], *plugins(UNLEARNERS)] = Field(min_length=1)
    judges: Judges = Field(default_factory=judges_by_default)
    resources: StageResources = StageResources()
    store: StoreSettings = StoreSettings()
    tracking: Tracking = Tracking()

    @model_validator(mode="before")
    @classmethod
    def _rename(cls, tree: Any) -> Any:
        return successor_of_evaluation(tree)

    @model_validator(mode="after")
    def _check(self) -> "Experiment":
        check_judges(self.judges, self.populations)
        if "floor" in self.unlearners:
            raise ConfigError(
                "unlearners.floor: this label stands for the noise floor in tables; choose another label"
            )
        for label, rule in self.forget_sets.items():
            strange = set(rule.needs) - {"full"}
            if strange:
                raise ConfigError(
                    f"forget_sets.{label} needs {', '.join(sorted(strange))}, but only the margins of `full` "
                    "are available"
                )
        for label, unlearner in self.unlearners.items():
            unknown = unlearner.needs - {"effect", "oracle"}
            if unknown:
                raise ConfigError(
                    f"unlearners.{label} needs {', '.join(sorted(unknown))}, but only `effect` and `oracle` "
                    "are available"
                )
        focused, n_full = self.populations.focused, self.populations.full.n_models
        if focused is not None and focused.keep_fraction == 1 and self.populations.full.source is not None:
            raise ConfigError(
                "populations.focused with keep_fraction 1 pairs models with full ones of the same seed, and "
                "the seeds of a source's models are unknown; "
                "set populations.focused.keep_fraction below 1, or train the full models here"
            )
        if focused is not None and focused.keep_fraction == 1 and focused.n_pairs > n_full:
            raise ConfigError(
                f"populations.focused.n_models {focused.n_models} makes {focused.n_pairs} pairs; with "
                "keep_fraction 1 each pair takes one model from populations.full, but "
                f"populations.full.n_models is {n_full}; lower populations.focused.n_models to {2 * n_full}, "
                f"or raise populations.full.n_models to {focused.n_pairs}"
            )
        unknown = self.estimator.needs - EVIDENCE
        if unknown:
            names = ", ".join(f"`{name}`" for name in sorted(EVIDENCE))
            raise ConfigError(
                f"estimator {plugin_name(self.estimator)!r} needs {', '.join(sorted(unknown))}, but only "
                f"{names} are available"
            )
        return self

    def with_share_of_models(self, share: float) -> "Experiment":
        """Return the experiment with only a share of its subset and designed models, at least 8 of each role.

        All other settings stay the same. The models are the first ones of the whole experiment, so the whole
        experiment reuses them.
        """

        def fewer(subsets: AnySubsets) -> AnySubsets:
            return subsets.model_copy(
                update={"n_models": min(subsets.n_models, max(8, math.ceil(share * subsets.count())))}
            )

        wanted = self.populations
        designed = None if wanted.designed is None else fewer(wanted.designed)
        return self.model_copy(
            update={
                "populations": wanted.model_copy(
                    update={"subset": fewer(wanted.subset), "designed": designed}
                )
            }
        )

    def identity(self) -> dict[str, Any]:
        """Return the settings that identify this experiment, JSON-ready.

        Left out are paths, the settings in BESIDE_IDENTITY, and settings at their neutral value (see
        pipeline.core.settings.neutral).
        """
        return {
            name: spelled
            for name, spelled in without_study_names(identity(self)).items()
            if name not in BESIDE_IDENTITY
        }

    @property
    def digest(self) -> str:
        """The digest of the settings that identify this experiment.

        It does not cover the content of files that the settings name; Graph.digest does.
        """
        return digest(self.identity())

    def to_yaml(self) -> str:
        """Return the settings as YAML with all defaults; reading this YAML gives an equal experiment."""
        return yaml_text.dump(self.model_dump(mode="json"))
