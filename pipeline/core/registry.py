"""Plug-ins and the tables that name them.

A plug-in is a frozen, validated value whose fields are its settings. To add one, write one file and add one
line to a table; a class outside the package is named `module:Class` in the config.
"""

import copy
import dataclasses
import importlib
import inspect
import operator
import sys
import traceback
from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, ValidationError, field_validator
from pydantic_core import CoreSchema

from pipeline.core.errors import ConfigError, DataError, SettingError, SettingProblem
from pipeline.core.fingerprint import canonical, digest, digest_bytes, digest_files
from pipeline.core.plugin_calls import building, guard_methods, source_file
from pipeline.core.plugin_calls import is_ours as _is_ours
from pipeline.core.settings.neutral import is_neutral, neutral_values, outside_identity
from pipeline.core.settings.paths import is_there, paths_in
from pipeline.core.settings.type_hints import fits, name_hint
from pipeline.core.settings.validation_errors import did_you_mean, explain, problems, shown


def _make_scalars_strict(schema: Any) -> None:
    """Set `strict` for every integer, float, boolean and text below a pydantic schema."""
    if isinstance(schema, dict):
        if schema.get("type") in ("int", "float", "bool", "str"):
            schema["strict"] = True
        for part in schema.values():
            _make_scalars_strict(part)
    elif isinstance(schema, list):
        for part in schema:
            _make_scalars_strict(part)


class Settings(BaseModel):
    """A frozen, strict group of settings: unknown keys, NaN and infinities are refused.

    Whole numbers, numbers, truth values and text are never converted into each other, except a whole number
    into a number. Lists become tuples, and text becomes a path or a member of an enumeration, because YAML
    has no tuples, paths or enumerations.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(source)
        _make_scalars_strict(schema)
        return schema

    @field_validator("*", mode="before")
    @classmethod
    def _no_empty_path(cls, value: Any, field: Any) -> Any:
        """Refuse an empty path, which would mean the current folder."""
        if isinstance(value, str) and not value.strip():
            hint = cls.model_fields[field.field_name].annotation
            if Path in (hint, *get_args(hint)):
                raise ValueError("expected the path of a file or folder")
        return value


class Plugin(Settings):
    """Base of all plug-ins.

    Increment `revision` whenever the algorithm changes; everything computed with the plug-in then becomes
    stale.
    """

    name: ClassVar[str]
    revision: ClassVar[int] = 1
    # True for data sets and sources of models. Other digests in the fingerprints already cover the files that
    # they read, so `content` is left out.
    reads_data: ClassVar[bool] = False

    def content(self) -> str:
        """Return a digest of content outside the settings, by default of the files at its paths; "" if none.

        Fingerprints hold this digest in place of the paths, so that a moved file changes nothing and a
        changed file is noticed. If no file is at a path on this machine, the path itself enters the digest,
        because a worker may find a file there. Raises DataError if a file cannot be read.
        """
        try:
            found = [digest_files(path) if is_there(path) else str(path) for path in paths_in(self)]
        except OSError as error:
            reason = f"{error.filename} cannot be read ({error.strerror})"
            raise DataError(
                f"{plugin_name(self)}: {reason}; give the path of a file or folder that can be read"
            ) from error
        return digest(found) if found else ""

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        """Guard the methods of a class from outside the package."""
        super().__pydantic_init_subclass__(**options)
        guard_methods(cls)


P = TypeVar("P", bound=Plugin)


@dataclass(frozen=True)
class PluginTable(Generic[P]):
    """The plug-ins of one kind by name; to add one, add its class to the literal tuple `plugins`."""

    kind: str
    base: type[P]
    plugins: tuple[type[P], ...]

    def names(self) -> list[str]:
        """Return the built-in names, sorted."""
        return sorted(plugin.name for plugin in self.plugins)

    def resolve(self, name: str) -> type[P]:
        """Return the class called name, or the one at `module:Class`.

        Raises ConfigError if the class is unknown or cannot be imported; the message suggests a known name.
        """
        if ":" in name:
            return self._import(name)
        for plugin in self.plugins:
            if plugin.name == name:
                return plugin
        hint = did_you_mean(name, self.names())
        remedy = f".{hint}" if hint else ", or module:Class of your own"
        raise ConfigError(f"unknown {self.kind} {name!r}; known: {', '.join(self.names())}{remedy}")

    def build(self, settings: Any) -> P:
        """Return the plug-in that a mapping describes: its key `name` chooses the class, the rest are fields.

        Raises ConfigError if settings are no mapping, the name is missing or unknown, or a field is refused.
        """
        known = f"known: {', '.join(self.names())}, or module:Class of your own"
        if settings is not None and not isinstance(settings, Mapping):
            raise self._refusal(f"expected a name, or settings with a `name`, got {shown(settings)}; {known}")
        fields = dict(settings or {})
        name = fields.pop("name", None)
        if name is None:
            raise self._refusal(f"needs a `name`, such as `name: {self.names()[0]}`; {known}")
        if not isinstance(name, str):
            raise self._refusal(f"`name` is {shown(name)}; expected text; {known}")
        plugin = self.resolve(name)
        if inspect.isabstract(plugin):
            undefined = ", ".join(sorted(plugin.__abstractmethods__))
            raise ConfigError(
                f"{self.kind} {name!r} cannot be built: it does not define {undefined}; define what its base "
                "declares abstract"
            )
        with building(
            plugin, f"{self.kind} {name!r} cannot be built", "mend its fields, validators or __init__"
        ):
            try:
                built = plugin(**{str(key): value for key, value in fields.items()})
            except ValidationError as error:
                message = explain(error, at=f"{self.kind} {name!r}", model=plugin)
                raise SettingError(message, problems(error, model=plugin)) from None
        check_usable(built, f"{self.kind} {name!r}")
        return built

    def _refusal(self, message: str) -> SettingError:
        return SettingError(f"{self.kind}: {message}", (SettingProblem((), message),))

    def _import(self, name: str) -> type[P]:
        module_name, _, class_name = name.partition(":")
        if str(Path.cwd()) not in sys.path:
            sys.path.insert(0, str(Path.cwd()))
        try:
            found = operator.attrgetter(class_name)(importlib.import_module(module_name))
        # A user's module may raise anything while it is imported, and may end the process.
        except (Exception, SystemExit) as error:
            raise ConfigError(
                f"{self.kind} {name!r} cannot be imported ({_said(error)}); expected module:Class, "
                "importable from here"
            ) from error
        if not (inspect.isclass(found) and issubclass(found, self.base)):
            raise ConfigError(
                f"{self.kind} {name!r} is not a subclass of {self.base.__module__}.{self.base.__qualname__}; "
                "make it one"
            )
        return found


def check_usable(plugin: Plugin, name: str) -> None:
    """Raise ConfigError if a class from outside the package cannot be used.

    The attributes that its base declares must have the declared types, its settings must fit into JSON, and
    it must be possible to send it to workers.
    """
    cls = type(plugin)
    if _is_ours(cls):
        return
    for base in cls.__mro__:
        for attribute, hint in (vars(base).get("__annotations__", {}) if _is_ours(base) else {}).items():
            if get_origin(hint) is not ClassVar or not hasattr(plugin, attribute):
                continue
            value, (wanted,) = getattr(plugin, attribute), get_args(hint)
            if not fits(value, wanted):
                raise ConfigError(
                    f"{name}: `{attribute}` is {value!r}; expected {name_hint(wanted)} ({source_file(cls)})"
                )
    with building(
        cls,
        f"{name}: its settings cannot be kept as JSON",
        "use fields of finite numbers, strings, lists and mappings of them",
    ):
        canonical([plugin.model_dump(mode="json"), cls.revision])
    with building(
        cls,
        f"{name} cannot be sent to workers",
        "define it at the top of its module, and open files or locks in its methods",
    ):
        copy.deepcopy(plugin)
        operator.attrgetter(cls.__qualname__)(sys.modules[cls.__module__])


def plugin_name(plugin: Plugin) -> str:
    """Return the name of plugin in a config.

    It is the table name, or module:Class for a class from outside the package.
    """
    cls = type(plugin)
    return cls.name if _is_ours(cls) else f"{cls.__module__}:{cls.__qualname__}"


def describe(plugin: Plugin) -> dict[str, Any]:
    """Return the settings that rebuild plugin, ready for JSON: its name and every field."""
    return {"name": plugin_name(plugin), **plugin.model_dump(mode="json")}


def identity(settings: Settings) -> dict[str, Any]:
    """Return the part of settings that fingerprints hold, ready for JSON: only what changes the result.

    A setting at its neutral value is left out, so that a new setting changes no fingerprint; see
    pipeline.core.settings.neutral. Plug-ins keep their name. Paths are left out too, because the place of a
    file changes no result. Its content does, and is part of `revision`.
    """
    return dict(_identity(settings, settings.model_dump(mode="json")))


def _identity(value: Any, dumped: Any) -> Any:
    """Return the identity of one value among settings; dumped is its form in pydantic's model_dump."""
    if isinstance(value, BaseModel) and isinstance(dumped, Mapping):
        return _identity_of_model(value, dumped)
    if isinstance(value, Mapping):
        parts = zip(value.values(), dumped.items(), strict=True)
        return {key: _identity(part, shown) for part, (key, shown) in parts if not isinstance(part, Path)}
    if dataclasses.is_dataclass(value):
        fields = {name: (getattr(value, name), shown) for name, shown in dumped.items()}
        return {name: _identity(*field) for name, field in fields.items() if not isinstance(field[0], Path)}
    if isinstance(value, tuple | list | Set):
        parts_shown = zip(value, dumped, strict=True)
        kept = [_identity(part, shown) for part, shown in parts_shown if not isinstance(part, Path)]
        # The order of a set differs between processes.
        return sorted(kept, key=canonical) if isinstance(value, Set) else kept
    return dumped


def _identity_of_model(value: BaseModel, dumped: Mapping[str, Any]) -> dict[str, Any]:
    neutral, outside = neutral_values(type(value)), outside_identity(type(value))
    kept = {"name": plugin_name(value)} if isinstance(value, Plugin) else {}
    for name, part_dumped in dumped.items():
        part = getattr(value, name, None)
        if isinstance(part, Path) or name in kept or name in outside:
            continue
        spelled = _identity(part, part_dumped)
        if name not in neutral or not is_neutral(spelled, neutral[name]):
            kept[name] = spelled
    return kept


def revision(plugin: Plugin) -> dict[str, Any]:
    """Return the part of fingerprints that identifies plugin's algorithm, ready for JSON.

    It holds the revision of the class, `content` if there is any, and for a class from outside the package a
    digest of its source file.
    """
    cls = type(plugin)
    source = {} if _is_ours(cls) else {"source": digest_bytes(Path(inspect.getfile(cls)).read_bytes())}
    content = "" if cls.reads_data else plugin.content()
    return {plugin_name(plugin): cls.revision, **source, **({"content": content} if content else {})}


def _said(error: BaseException) -> str:
    """Return the message of an error during an import, with the file and line that raised it, if known."""
    if isinstance(error, SyntaxError):
        return f"{error.msg}, {error.filename} line {error.lineno}"
    raised = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename != __file__ and "importlib" not in frame.filename
    ]
    said = (
        str(error) if isinstance(error, (ImportError, AttributeError)) else f"{type(error).__name__}: {error}"
    )
    return f"{said}, {raised[-1].filename} line {raised[-1].lineno}" if raised else said
