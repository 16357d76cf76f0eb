"""Settings too large to try are refused when the config is read."""

from collections.abc import Iterator
from typing import Any, get_args, get_origin

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from tiny import TINY

from jobs.session import check
from pipeline import config
from pipeline.attribution import ESTIMATORS
from pipeline.core.errors import ConfigError
from pipeline.core.registry import Settings
from pipeline.data import DATASETS
from pipeline.models import MODELS
from pipeline.sources import SOURCES
from pipeline.unlearning import UNLEARNERS

# Seeds may be any whole number.
UNBOUNDED = {"seed"}


def groups_of(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Yield a group of settings and those inside of it."""
    yield model
    for field in model.model_fields.values():
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, Settings):
                yield from groups_of(kind)


def whole_numbers() -> Iterator[tuple[str, FieldInfo]]:
    """Yield the settings of the whole config that are whole numbers, by name."""
    tables = (DATASETS, SOURCES, MODELS, ESTIMATORS, UNLEARNERS)
    roots = [config.Experiment, *(plugin for table in tables for plugin in table.plugins)]
    for group in dict.fromkeys(group for root in roots for group in groups_of(root)):
        for name, field in group.model_fields.items():
            if (
                name not in UNBOUNDED
                and get_origin(field.annotation) is not tuple
                and int in (field.annotation, *get_args(field.annotation))
            ):
                yield f"{group.__name__}.{name}", field


@pytest.mark.parametrize(("name", "field"), whole_numbers())
def test_every_whole_number_has_an_upper_bound(name: str, field: FieldInfo) -> None:
    assert any(getattr(bound, "le", None) or getattr(bound, "lt", None) for bound in field.metadata), name


@pytest.mark.parametrize("value", [10**9, 10**12, 10**20, 2**63])
@pytest.mark.parametrize(
    "key", ["judges.klom.n_bins", "model.width", "dataset.n_train", "recipe.epochs", "store.shard_members"]
)
def test_a_number_that_is_too_large_is_refused_with_its_key(key: str, value: int) -> None:
    with pytest.raises(ConfigError, match=key.rpartition(".")[2]):
        config.build(TINY, [f"{key}={value}"])


def test_sizes_that_are_too_large_together_are_refused() -> None:
    with pytest.raises(ConfigError, match="take 100,000,200,000 numbers; at most 1,000,000,000"):
        config.build(TINY, ["dataset={name: planted, n_train: 10000000, n_validation: 20, n_groups: 10000}"])


@pytest.mark.parametrize(
    "settings",
    [
        "{name: mlp, width: 9000000, depth: 3}",
        "{name: mlp, width: 1000000, depth: 1000}",
        "{name: cnn, width: 1000000}",
    ],
)
def test_a_model_that_no_memory_holds_is_refused_before_it_is_built(settings: str) -> None:
    experiment = config.build(TINY, [f"model={settings}", "dataset={name: digits, n_train: 60}"])
    with pytest.raises(ConfigError, match="GB for its parameters alone; this machine has"):
        check(experiment, experiment.dataset.load())


def test_settings_of_the_convex_study_that_are_too_large_together_are_refused() -> None:
    convex: dict[str, Any] = {"linear": {"n_draws": 100_000, "n_points": 1000, "n_features": 1000}}
    with pytest.raises(ConfigError, match="n_draws, n_points and n_features make 200,000,000,000 numbers"):
        config.build(TINY | {"convex": convex})
