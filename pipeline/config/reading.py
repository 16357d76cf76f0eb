"""From a YAML file and `key=value` overrides to an experiment; whatever is wrong is named by its exact key."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from pipeline.config.experiment import Experiment
from pipeline.core.errors import ConfigError
from pipeline.core.registry import explain


class UniqueKeys(yaml.SafeLoader):
    """YAML in which no key stands twice: of two forget sets with one label the first would be lost without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return the mapping; raises yaml.YAMLError on a repeated key."""
        keys = [key.value for key, _ in node.value]
        repeated = next((key for number, key in enumerate(keys) if key in keys[:number]), None)
        if repeated is not None:
            raise yaml.YAMLError(f"key {repeated!r} stands twice{node.start_mark}".replace("\n", " "))
        return super().construct_mapping(node, deep)


def read(path: str | Path, overrides: Sequence[str] = ()) -> Experiment:
    """Return the experiment described by a YAML file and `key=value` overrides; raises ConfigError naming the exact key at fault."""
    return build(read_tree(path), overrides, source=str(path))


def read_tree(path: str | Path) -> dict[str, Any]:
    """Return the mapping in a YAML file; raises ConfigError if it is missing, not UTF-8 or not a mapping."""
    try:
        tree = UniqueKeys(Path(path).read_text(encoding="utf-8")).get_single_data()
    except OSError as error:
        raise ConfigError(f"config {path} cannot be read ({error.strerror}); give the path of a YAML file") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"config {path} is not UTF-8 text ({error.reason} at byte {error.start}); give a YAML file saved as UTF-8") from error
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
