"""How plug-ins become fields of a config: by name, by label, with the schema of every choice."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from pipeline.core.errors import ConfigError
from pipeline.core.registry import Plugin, Table, describe

# Labels become parts of paths, metric names and report anchors.
LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def builder(table: Table[Any]) -> Callable[[Any], Plugin]:
    """Return what makes a plug-in of a table from its name or settings; raises ConfigError."""

    def build(value: Any) -> Plugin:
        if isinstance(value, table.base):
            return value
        settings = {"name": value} if isinstance(value, str) else value
        if not isinstance(settings, Mapping):
            raise ConfigError(f"{table.kind}: expected settings with a `name`, got {value!r}; known names: {', '.join(table.names())}")
        return table.build(settings)

    return build


def _labelled(table: Table[Any]) -> Callable[[Any], dict[str, Plugin]]:
    build = builder(table)

    def build_all(value: Any) -> dict[str, Plugin]:
        if not isinstance(value, Mapping):
            raise ConfigError(f"expected the settings of each {table.kind} below a label, such as `my_label: {{name: {table.names()[0]}}}`; got {value!r}")
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


def plugin(table: Table[Any]) -> tuple[BeforeValidator, PlainSerializer, WithJsonSchema]:
    """Return the annotations of a field that is one plug-in."""
    return BeforeValidator(builder(table)), PlainSerializer(describe), WithJsonSchema(_schema(table))


def maybe(table: Table[Any]) -> tuple[BeforeValidator, PlainSerializer, WithJsonSchema]:
    """Return what makes a setting a plug-in of table or null."""
    build = builder(table)
    schema = {"anyOf": [_schema(table), {"type": "null"}]}
    return (
        BeforeValidator(lambda value: None if value is None else build(value)),
        PlainSerializer(lambda plugin: None if plugin is None else describe(plugin)),
        WithJsonSchema(schema),
    )


def plugins(table: Table[Any]) -> tuple[BeforeValidator, PlainSerializer, WithJsonSchema]:
    """Return the annotations of a field that is plug-ins by label."""
    every = PlainSerializer(lambda value: {label: describe(plugin) for label, plugin in value.items()})
    return BeforeValidator(_labelled(table)), every, WithJsonSchema({"type": "object", "additionalProperties": _schema(table)})
