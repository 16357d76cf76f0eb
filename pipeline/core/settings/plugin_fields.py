"""Lets plug-ins be fields of a config, with a JSON schema that lists all choices.

A field holds one plug-in, given by its name or its settings, or a mapping of labels to plug-ins.
"""

import difflib
import re
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from pipeline.core.errors import SettingError, SettingProblem, refusing
from pipeline.core.registry import Plugin, PluginTable, describe
from pipeline.core.settings.validation_errors import shown

# Labels become parts of paths, metric names and report anchors.
LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def builder(table: PluginTable[Any]) -> Callable[[Any], Plugin]:
    """Return a function that builds a plug-in of table from a name or from settings.

    The function returns a plug-in unchanged. It raises SettingError if the plug-in cannot be built.
    """

    def build(value: Any) -> Plugin:
        if isinstance(value, table.base):
            return value
        with refusing():
            return table.build({"name": value} if isinstance(value, str) else value)

    return build


def _labelled(table: PluginTable[Any]) -> Callable[[Any], dict[str, Plugin]]:
    build = builder(table)

    def build_all(value: Any) -> dict[str, Plugin]:
        if not isinstance(value, Mapping):
            example = f"a label, such as `my_label: {{name: {table.names()[0]}}}`"
            raise SettingError(
                f"expected the settings of each {table.kind} below {example}; got {shown(value)}"
            )
        built, problems = {}, list[SettingProblem]()
        for label, settings in value.items():
            try:
                _check_label(table.kind, label)
                built[label] = build(settings)
            except SettingError as error:
                given = {} if settings is None else settings
                is_unnamed = isinstance(given, Mapping) and given.get("name") is None
                hint = _nearest(table, str(label)) if is_unnamed else ""
                found = error.problems or (SettingProblem((), str(error)),)
                problems += [
                    SettingProblem((label, *problem.place), problem.message + hint) for problem in found
                ]
        if problems:
            raise SettingError(f"some settings of {table.kind} are refused", tuple(problems))
        return built

    return build_all


def _check_label(kind: str, label: Any) -> None:
    if not isinstance(label, str) or not LABEL.fullmatch(label):
        expected = "must start with a letter or digit and hold letters, digits, `_`, `-`, `.`, at most 64"
        raise SettingError(f"{kind} label {label!r} {expected}")


def _nearest(table: PluginTable[Any], label: str) -> str:
    """Return a suggestion for a label whose settings name no plug-in; empty if no known name is similar."""
    near = difflib.get_close_matches(label, table.names(), n=1)
    return f". Did you mean `{label}: {{name: {near[0]}}}`?" if near else ""


def _schema(table: PluginTable[Any]) -> dict[str, Any]:
    choices = []
    for plugin in table.plugins:
        schema = plugin.model_json_schema()
        schema = _inlined(schema, schema.pop("$defs", {}))
        schema["properties"] = {"name": {"const": plugin.name}} | schema.get("properties", {})
        schema["required"] = ["name", *schema.get("required", [])]
        choices.append(schema)
    return {"anyOf": choices}


def _inlined(schema: Any, definitions: Mapping[str, Any]) -> Any:
    """Return a plug-in's schema with every reference replaced by its definition.

    The schema of the whole config does not hold the definitions, so references to them would be invalid.
    """
    if isinstance(schema, list):
        return [_inlined(item, definitions) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].removeprefix("#/$defs/")], definitions)
    return {key: _inlined(value, definitions) for key, value in schema.items()}


def plugin(table: PluginTable[Any]) -> tuple[BeforeValidator, PlainSerializer, WithJsonSchema]:
    """Return the pydantic annotations (validator, serialiser, JSON schema) of a field with one plug-in."""
    return BeforeValidator(builder(table)), PlainSerializer(describe), WithJsonSchema(_schema(table))


def maybe(table: PluginTable[Any]) -> tuple[BeforeValidator, PlainSerializer, WithJsonSchema]:
    """Return the same annotations as `plugin`, for a field whose value is one plug-in or null."""
    build = builder(table)
    schema = {"anyOf": [_schema(table), {"type": "null"}]}
    return (
        BeforeValidator(lambda value: None if value is None else build(value)),
        PlainSerializer(lambda plugin: None if plugin is None else describe(plugin)),
        WithJsonSchema(schema),
    )


def plugins(table: PluginTable[Any]) -> tuple[BeforeValidator, PlainSerializer, WithJsonSchema]:
    """Return the same annotations as `plugin`, for a field whose value maps labels to plug-ins."""
    every = PlainSerializer(lambda value: {label: describe(plugin) for label, plugin in value.items()})
    return (
        BeforeValidator(_labelled(table)),
        every,
        WithJsonSchema({"type": "object", "additionalProperties": _schema(table)}),
    )
