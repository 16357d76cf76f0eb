"""The whole experiment as one frozen, validated tree: every name known, every plug-in built, every setting in range before anything runs."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BeforeValidator, Field, PlainSerializer, ValidationError, WithJsonSchema, model_validator

from pipeline.attribution import ESTIMATORS
from pipeline.attribution.estimator import Estimator
from pipeline.attribution.kernel import GroupKernel
from pipeline.core.errors import ConfigError
from pipeline.core.fingerprint import digest
from pipeline.core.registry import Plugin, Settings, Table, describe, explain, plugin_name
from pipeline.data import DATASETS, FORGET_SETS, RECORDS
from pipeline.data.dataset import Dataset
from pipeline.data.digits import Digits
from pipeline.data.forget_sets.base import ForgetSet
from pipeline.data.records.base import Records
from pipeline.models import MODELS
from pipeline.models.base import Model
from pipeline.models.mlp import Mlp
from pipeline.stages.evaluate import Evaluation
from pipeline.stages.layout import Layout
from pipeline.stages.node import Resources
from pipeline.training.populations import Recipe
from pipeline.unlearning import UNLEARNERS
from pipeline.unlearning.unlearner import Unlearner

# Labels become parts of paths, metric names and report anchors.
LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
# A hundred times the largest study there is: more is a slip of the hand, and listing its shards would take for ever.
MOST_MODELS = 2_000_000
# What estimators may need.
EVIDENCE = frozenset({"subset", "groups", "views", "checkpoints"})
# What may change without the experiment becoming another one: where it runs and where its view goes.
PLACES = frozenset({"store", "tracking", "resources"})


class UniqueKeys(yaml.SafeLoader):
    """YAML in which no key stands twice: of two forget sets with one label the first would be lost without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return the mapping; raises yaml.YAMLError on a repeated key."""
        keys = [key.value for key, _ in node.value]
        repeated = next((key for number, key in enumerate(keys) if key in keys[:number]), None)
        if repeated is not None:
            raise yaml.YAMLError(f"key {repeated!r} stands twice{node.start_mark}".replace("\n", " "))
        return super().construct_mapping(node, deep)


def _builder(table: Table[Any]) -> Callable[[Any], Plugin]:
    def build(value: Any) -> Plugin:
        if isinstance(value, table.base):
            return value
        settings = {"name": value} if isinstance(value, str) else value
        if not isinstance(settings, Mapping):
            raise ConfigError(f"{table.kind}: expected settings with a `name`, got {value!r}; known names: {', '.join(table.names())}")
        return table.build(settings)

    return build


def _labelled(table: Table[Any]) -> Callable[[Any], dict[str, Plugin]]:
    build = _builder(table)

    def build_all(value: Any) -> dict[str, Plugin]:
        if not isinstance(value, Mapping):
            raise ConfigError(f"expected {table.kind}s by label, such as `my_label: {{name: {table.names()[0]}}}`; got {value!r}")
        for label in value:
            if not isinstance(label, str) or not LABEL.fullmatch(label):
                raise ConfigError(f"{table.kind} label {label!r} must start with a letter or digit and hold letters, digits, `_`, `-`, `.`, at most 64")
        return {label: _at(f"{table.kind} labelled {label!r}", build, settings) for label, settings in value.items()}

    return build_all


def _at(place: str, build: Callable[[Any], Plugin], settings: Any) -> Plugin:
    try:
        return build(settings)
    except ConfigError as error:
        raise ConfigError(f"{place}: {error}") from None


def _schema(table: Table[Any]) -> dict[str, Any]:
    choices = []
    for plugin in table.plugins:
        schema = plugin.model_json_schema()
        schema = _inlined(schema, schema.pop("$defs", {}))
        schema["properties"] = {"name": {"const": plugin.name}} | schema.get("properties", {})
        schema["required"] = ["name", *schema.get("required", [])]
        choices.append(schema)
    return {"anyOf": choices}


def _inlined(schema: Any, definitions: Mapping[str, Any]) -> Any:
    """Return a plug-in's schema with references replaced by what they refer to: within the whole config's schema they would point nowhere."""
    if isinstance(schema, list):
        return [_inlined(item, definitions) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].removeprefix("#/$defs/")], definitions)
    return {key: _inlined(value, definitions) for key, value in schema.items()}


def _plugin(table: Table[Any]) -> tuple[BeforeValidator, PlainSerializer, WithJsonSchema]:
    return BeforeValidator(_builder(table)), PlainSerializer(describe), WithJsonSchema(_schema(table))


def _maybe(table: Table[Any]) -> tuple[BeforeValidator, PlainSerializer, WithJsonSchema]:
    """Return what makes a setting a plug-in of table or null."""
    build = _builder(table)
    schema = {"anyOf": [_schema(table), {"type": "null"}]}
    return (
        BeforeValidator(lambda value: None if value is None else build(value)),
        PlainSerializer(lambda plugin: None if plugin is None else describe(plugin)),
        WithJsonSchema(schema),
    )


def _plugins(table: Table[Any]) -> tuple[BeforeValidator, PlainSerializer, WithJsonSchema]:
    every = PlainSerializer(lambda value: {label: describe(plugin) for label, plugin in value.items()})
    return BeforeValidator(_labelled(table)), every, WithJsonSchema({"type": "object", "additionalProperties": _schema(table)})


class Subsets(Settings):
    """Models trained on subsets that keep a fraction of the training points."""

    n_models: int = Field(default=1000, ge=3, le=MOST_MODELS)
    keep_fraction: float = Field(default=0.85, gt=0, lt=1)


AnySubsets = TypeVar("AnySubsets", bound=Subsets)


class SubsetModels(Subsets):
    """Those that keep random points; with `imported` they were trained elsewhere, and n_models is how many of those are used (all, if it is not set).

    keep_fraction is then that of the held-out models alone.
    """

    imported: Annotated[Records | None, *_maybe(RECORDS)] = None

    @model_validator(mode="before")
    @classmethod
    def _all_of_them(cls, settings: Any) -> Any:
        imported = isinstance(settings, Mapping) and settings.get("imported") is not None
        return {"n_models": MOST_MODELS, **settings} if imported else settings


class Focused(Settings):
    """Models for one forget set: n_models / 2 pairs of one seed that keep the same random keep_fraction of the other points, with all of the set or none.

    With keep_fraction 1 a pair is a full model, which exists anyway, and an oracle of the same seed: half the cost, and nothing to extrapolate.
    """

    n_models: int = Field(default=8, ge=4, le=MOST_MODELS, multiple_of=2)
    keep_fraction: float = Field(default=1.0, gt=0, le=1)

    @property
    def n_pairs(self) -> int:
        """Pairs."""
        return self.n_models // 2


class Members(Settings):
    """A number of models."""

    n_models: int = Field(default=100, ge=2, le=MOST_MODELS)


class HeldoutModels(Members):
    """Models to be predicted; with `imported` they were trained elsewhere, and n_models is at most how many of those are used."""

    # Two would agree or not by chance.
    n_models: int = Field(default=100, ge=3, le=MOST_MODELS)
    imported: Annotated[Records | None, *_maybe(RECORDS)] = None


class Populations(Settings):
    """How many models of each role.

    `subset` keeps random points, as `heldout` does, `designed` drops whole groups as `scout` models see them (null: none are trained). n_seeds
    is how many seeds `subset` and `designed` share, so that attribution can take their effect out (null: each model has its own). `focused` are
    trained for each forget set once it is known, to correct what the datamodel says of it (null: none are).
    """

    subset: SubsetModels = SubsetModels()
    designed: Subsets | None = Subsets(n_models=2000, keep_fraction=0.92)
    n_seeds: int | None = Field(default=50, ge=2)
    scout: Members = Members(n_models=10)
    focused: Focused | None = None
    heldout: HeldoutModels | None = HeldoutModels()
    full: Members = Members()
    oracle: Members = Members()
    floor: Members = Members()


class StageResources(Settings):
    """What one task of a stage asks for: training, unlearning, and the stages that only compute with arrays."""

    train: Resources = Resources()
    unlearn: Resources = Resources()
    compute: Resources = Resources()


class StoreSettings(Settings):
    """Where tables are kept, and how many members share a shard."""

    uri: str = "runs"
    shard_members: int = Field(default=100, ge=1)
    layout: Layout = Layout()


class Tracking(Settings):
    """Where the MLflow view goes: a URI, `none`, or nothing for MLFLOW_TRACKING_URI and else a database in the store.

    save_members unlearned models of each (unlearner, forget set) are kept as checkpoints and logged.
    """

    uri: str | None = None
    experiment: str = "unlearning"
    save_members: int = Field(default=1, ge=0)
    max_artifact_mb: float = Field(default=64.0, gt=0)


class Experiment(Settings):
    """Everything a run needs. Keys under forget_sets and unlearners are labels of the user's choice."""

    name: str = Field(default="digits", pattern=LABEL.pattern)
    seed: int = Field(default=0, ge=0)
    dataset: Annotated[Dataset, *_plugin(DATASETS)] = Digits()
    model: Annotated[Model, *_plugin(MODELS)] = Mlp()
    recipe: Recipe = Recipe()
    populations: Populations = Populations()
    forget_sets: Annotated[dict[str, ForgetSet], *_plugins(FORGET_SETS)] = Field(min_length=1)
    estimator: Annotated[Estimator, *_plugin(ESTIMATORS)] = GroupKernel()
    unlearners: Annotated[dict[str, Unlearner], *_plugins(UNLEARNERS)] = Field(min_length=1)
    evaluation: Evaluation = Evaluation()
    resources: StageResources = StageResources()
    store: StoreSettings = StoreSettings()
    tracking: Tracking = Tracking()

    @model_validator(mode="after")
    def _check(self) -> "Experiment":
        if "floor" in self.unlearners:
            raise ConfigError("unlearner label 'floor' stands for the noise floor in every table; choose another label")
        for label, unlearner in self.unlearners.items():
            unknown = unlearner.needs - {"effect", "oracle"}
            if unknown:
                raise ConfigError(f"unlearner labelled {label!r} needs {', '.join(sorted(unknown))}, but only `effect` and `oracle` can be had")
        focused, n_full = self.populations.focused, self.populations.full.n_models
        if focused is not None and focused.keep_fraction == 1 and focused.n_pairs > n_full:
            raise ConfigError(
                f"populations.focused with keep_fraction 1 pairs {focused.n_pairs} models with as many full ones, but populations.full.n_models is {n_full}; "
                f"lower populations.focused.n_models to {2 * n_full}, or train more full models"
            )
        unknown = self.estimator.needs - EVIDENCE
        if unknown:
            names = ", ".join(f"`{name}`" for name in sorted(EVIDENCE))
            raise ConfigError(f"estimator {plugin_name(self.estimator)!r} needs {', '.join(sorted(unknown))}, but only {names} can be had")
        return self

    def with_share_of_models(self, share: float) -> "Experiment":
        """Return the same experiment with a share of its subset models, at least 8 of each role; what they cost is the only difference."""

        def fewer(subsets: AnySubsets) -> AnySubsets:
            return subsets.model_copy(update={"n_models": min(subsets.n_models, max(8, math.ceil(share * subsets.n_models)))})

        wanted = self.populations
        designed = None if wanted.designed is None else fewer(wanted.designed)
        return self.model_copy(update={"populations": wanted.model_copy(update={"subset": fewer(wanted.subset), "designed": designed})})

    @property
    def digest(self) -> str:
        """Digest of everything that makes this experiment what it is; where it runs and is shown is left out."""
        return digest(self.model_dump(mode="json", exclude=set(PLACES)))

    def to_yaml(self) -> str:
        """Return the tree as YAML with every default filled in; reading it gives an equal experiment."""
        return str(yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, width=120))


def read(path: str | Path, overrides: Sequence[str] = ()) -> Experiment:
    """Return the experiment described by a YAML file and `key=value` overrides; raises ConfigError naming the exact key at fault."""
    return build(read_tree(path), overrides, source=str(path))


def read_tree(path: str | Path) -> dict[str, Any]:
    """Return the mapping in a YAML file; raises ConfigError if it is missing or not a mapping."""
    try:
        tree = UniqueKeys(Path(path).read_text()).get_single_data()
    except OSError as error:
        raise ConfigError(f"config {path} cannot be read ({error.strerror}); give the path of a YAML file") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"config {path} is not YAML: {str(error).replace(chr(10), ' ')}") from error
    if not isinstance(tree, dict):
        raise ConfigError(f"config {path} holds {type(tree).__name__}; expected settings such as `dataset: {{name: digits}}`")
    return tree


def build(tree: Mapping[str, Any], overrides: Sequence[str] = (), *, source: str = "config") -> Experiment:
    """Return the experiment described by a mapping and `key=value` overrides; raises ConfigError."""
    tree = dict(tree)
    for override in overrides:
        tree = _override(tree, override)
    try:
        return Experiment.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(explain(error, at=source, model=Experiment)) from None
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from None


def _override(tree: Mapping[str, Any], override: str) -> dict[str, Any]:
    """Return tree with `a.b.c=value` applied, the value read as YAML; the tree given is left alone."""
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {override!r}: expected key=value, such as populations.subset.n_models=500")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {override!r}: the value is not YAML ({str(error).splitlines()[0]})") from error
    return _put(tree, key.strip().split("."), value, override)


def _put(tree: Any, path: list[str], value: Any, override: str) -> dict[str, Any]:
    if not isinstance(tree, Mapping):
        raise ConfigError(f"--set {override!r}: {path[0]!r} lies below {tree!r}, which holds no settings; set the whole of it")
    rest = value if len(path) == 1 else _put(tree.get(path[0]) or {}, path[1:], value, override)
    return {**tree, path[0]: rest}
