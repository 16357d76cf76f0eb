"""Builds an experiment from a YAML file and `key=value` overrides; an error gives the exact key."""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from pipeline.config.experiment import Experiment
from pipeline.core.errors import ConfigError
from pipeline.core.settings import yaml_text
from pipeline.core.settings.validation_errors import explain, shown


def read(path: str | Path, overrides: Sequence[str] = (), *, store: str | None = None) -> Experiment:
    """Return the experiment described by a YAML file and `key=value` overrides.

    store, if given, replaces the setting store.uri and is not read as YAML. Raises ConfigError that names the
    exact key of a mistake.
    """
    return build(read_tree(path), overrides, source=str(path), store=store)


def read_tree(path: str | Path) -> dict[str, Any]:
    """Return the mapping in a YAML file; raises ConfigError if it is missing, not UTF-8 or not a mapping."""
    try:
        tree = yaml_text.load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"config {path} cannot be read ({error.strerror}); give the path of a YAML file"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"config {path} is not UTF-8 text ({error.reason} at byte {error.start}); give a YAML file saved "
            "as UTF-8"
        ) from error
    except yaml.YAMLError as error:
        raise ConfigError(f"config {path} cannot be read as YAML: {error}") from error
    if not isinstance(tree, dict):
        found = (
            "is empty"
            if tree is None
            else "holds a list"
            if isinstance(tree, list)
            else f"holds {shown(tree)} alone"
        )
        raise ConfigError(f"config {path} {found}; expected settings such as `dataset: {{name: digits}}`")
    return tree


def build(
    tree: Mapping[str, Any],
    overrides: Sequence[str] = (),
    *,
    source: str = "config",
    store: str | None = None,
) -> Experiment:
    """Return the experiment described by a mapping and `key=value` overrides.

    Messages name the mapping by source. For store and errors see `read`.
    """
    tree = dict(tree)
    for override in overrides:
        tree = _override(tree, override)
    if store is not None:
        if not store.strip():
            raise ConfigError("--store is empty; give a folder or an address such as s3://bucket/prefix")
        below = tree.get("store")
        # A `store` that holds no settings is refused below, with all other mistakes.
        if below is None or isinstance(below, Mapping):
            tree["store"] = {**(below or {}), "uri": store}
    try:
        return Experiment.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(explain(error, at=partial(origin, source, overrides), model=Experiment)) from None
    except ConfigError as error:
        raise ConfigError(f"{origin(source, overrides, '')}: {error}") from None


def origin(source: str, overrides: Sequence[str], place: str) -> str:
    """Return in words where the setting at a dotted place was written: in source, or in an override.

    The last override of the setting, or of a mapping that contains it, is named instead of source. Overrides
    of single settings below the place are named too. An empty place stands for the whole config: the result
    is then source, with a note if there are overrides.
    """
    if not place:
        return f"{source} with --set" if overrides else source
    below = list[str]()
    for override in reversed(overrides):
        key = override.partition("=")[0].strip()
        if f"{place}.".startswith(f"{key}."):
            return ", ".join([f"--set {shown(override)}", *below])
        if f"{key}.".startswith(f"{place}."):
            below.append(f"--set {shown(override)}")
    return f"{source} with {', '.join(below)}" if below else source


def _override(tree: Mapping[str, Any], override: str) -> dict[str, Any]:
    """Return tree with `a.b.c=value` applied, the value read as YAML; tree itself is not changed."""
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {override!r}: expected key=value, such as populations.subset.n_models=500")
    if not all(part.strip() for part in key.split(".")):
        raise ConfigError(
            f"--set {override!r}: the key has an empty part; expected names with single dots between them, "
            "such as recipe.epochs=3"
        )
    try:
        value = yaml_text.load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {override!r}: the value cannot be read as YAML ({error})") from error
    if _holds_comment(text, value):
        raise ConfigError(
            f"--set {override!r}: YAML reads text after # as a comment; put the value in quotes, as "
            "in key='\"exp #2\"'"
        )
    return _put(tree, key.strip().split("."), value, override)


def _holds_comment(text: str, value: Any) -> bool:
    """Return whether YAML reads text from some `#` on as a comment.

    If so, the text before this `#` gives the same value.
    """
    for found in re.finditer(r"(?:^|\s)#", text):
        try:
            if yaml_text.load(text[: found.start()]) == value:
                return True
        except yaml.YAMLError:
            continue
    return False


def _put(tree: Any, path: list[str], value: Any, override: str) -> dict[str, Any]:
    if not isinstance(tree, Mapping):
        raise ConfigError(
            f"--set {override!r}: {path[0]!r} would lie below {shown(tree)}, which holds no settings; set "
            f"the whole of it, as in key={{name: …}}"
        )
    if len(path) == 1:
        return {**tree, path[0]: value}
    below = tree.get(path[0])
    return {**tree, path[0]: _put({} if below is None else below, path[1:], value, override)}
