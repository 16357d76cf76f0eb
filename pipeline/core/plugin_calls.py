"""Turns anything that a class from outside the package raises or returns wrongly into a PluginError.

The message names the class, the method, the line and what the package expects. Classes of the package are
called without these checks.
"""

import functools
import inspect
import os
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FunctionType, TracebackType
from typing import Any, get_type_hints

from pipeline.core.errors import ConfigError, DataError, PipelineError, PluginError, ShapeError, TrainingError
from pipeline.core.settings.type_hints import describe_value, fits, name_hint

OURS = frozenset({"pipeline", "jobs"})
INSTALLED = frozenset({"site-packages", "dist-packages"})
STANDARD_LIBRARY = str(Path(os.__file__).parent)
# Errors that a user's class raises on purpose: they keep their class and message; the name and line are
# added.
ON_PURPOSE = (ConfigError, DataError, ShapeError, TrainingError)


def is_ours(cls: type) -> bool:
    """Return whether cls is part of the package."""
    return cls.__module__.split(".")[0] == "pipeline"


def class_name(cls: type) -> str:
    """Return module:Class, as in a config, with the kind of plug-in."""
    bases = [base for base in cls.__mro__ if is_ours(base)]
    kinds = [base.__name__ for base in bases if not base.__module__.startswith("pipeline.core.")]
    return f"{cls.__module__}:{cls.__qualname__} (your {kinds[-1] if kinds else 'plug-in'})"


def guard_methods(cls: type) -> None:
    """Guard all methods and properties that a base of the package declares, if cls is from outside it.

    The result of a method called NAME must fit its declared type. It must also pass `_check_NAME` of the
    base, if there is one.
    """
    if is_ours(cls):
        return
    declared = {name for base in cls.__mro__ if is_ours(base) for name in vars(base)}
    for name in {name for name in declared if not name.startswith("_")}:
        found = inspect.getattr_static(cls, name)
        if isinstance(found, FunctionType):
            setattr(cls, name, _guarded(cls, name, found))
        elif isinstance(found, staticmethod | classmethod):
            setattr(cls, name, type(found)(_guarded(cls, name, found.__func__)))
        elif isinstance(found, property) and found.fget is not None:
            setattr(cls, name, property(_guarded(cls, name, found.fget)))


def _guarded(cls: type, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    # An inherited method may already be guarded with the name of its base.
    function = getattr(function, "guards", function)

    @functools.wraps(function)
    def call(*given: Any, **options: Any) -> Any:
        with _calling(cls, name, function):
            found = function(*given, **options)
        hint = _returned_hint(cls, name)
        if not fits(found, hint):
            returned = f"returned {describe_value(found)} ({_place_of(function)})"
            expected = f"{name_hint(hint)}{_promise(cls, name)}"
            raise PluginError(f"{class_name(cls)}: {name}() {returned}; expected {expected}")
        check = getattr(cls, f"_check_{name}", None)
        if check is not None and given and isinstance(given[0], cls):
            with _checking(cls, name, function):
                check(given[0], found, *given[1:], **options)
        return found

    call.guards = function  # type: ignore[attr-defined]
    return call


@contextmanager
def _calling(cls: type, name: str, function: Callable[..., Any]) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        raise
    # A user's class may raise anything, including its own exceptions and sys.exit().
    except BaseException as error:
        place = users_line(error, [cls])
        if isinstance(error, PipelineError) and is_ours(type(error)):
            is_named = str(error).startswith(class_name(cls))
            if (
                isinstance(error, ON_PURPOSE)
                and not isinstance(error, PluginError)
                and place is not None
                and not is_named
            ):
                error.args, error.place = (f"{class_name(cls)}: {error} ({place})",), ""
            raise
        is_own = function.__module__.split(".")[0] not in OURS
        if place is None and (not is_own or isinstance(error, SystemExit)):
            raise
        raised = f"raised {say(error)} ({place or _place_of(function)})"
        expected = f"{name}{_signature(cls, name)}{_promise(cls, name)}"
        raise PluginError(f"{class_name(cls)}: {name}() {raised}; expected {expected}") from error


@contextmanager
def _checking(cls: type, name: str, function: Callable[..., Any]) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        raise
    # A check receives objects of any kind, so it may fail in any way.
    except Exception as error:
        problem = str(error) if isinstance(error, PipelineError) else say(error)
        refused = f"what {name}() returned cannot be used ({_place_of(function)})"
        raise PluginError(f"{class_name(cls)}: {refused}: {problem}{_promise(cls, name)}") from error


@contextmanager
def named_failures(plugins: Iterable[object]) -> Iterator[None]:
    """Name the user's class and line in any error that an object returned by its methods raises.

    Such an object is, for example, a module with its forward(). An error that no line of the user's code
    raised keeps its class, and gets a note that names the user's classes involved.
    """
    try:
        yield
    except PipelineError:
        raise
    # Such an object may raise anything, like a method of a user's class.
    except Exception as error:
        classes = list(dict.fromkeys(type(plugin) for plugin in plugins if not is_ours(type(plugin))))
        names = " or ".join(map(class_name, classes))
        place = users_line(error, classes)
        if classes and place is not None:
            raised = f"an object that it returned raised {say(error)} ({place})"
            raise PluginError(f"{names}: {raised}; fix that line") from error
        if classes:
            error.add_note(f"{names} took part in this: check what it returns")
        raise


@contextmanager
def building(cls: type, problem: str, remedy: str) -> Iterator[None]:
    """Turn an error that a user's class raises outside its methods into a PluginError.

    The message is `problem (error, place); remedy`.
    """
    try:
        yield
    except (PipelineError, KeyboardInterrupt):
        raise
    # Validators, defaults and the constructor of a user's class may raise anything.
    except (Exception, SystemExit) as error:
        if is_ours(cls):
            raise
        place = users_line(error, [cls]) or source_file(cls)
        raise PluginError(f"{problem} ({say(error)}, {place}); {remedy}") from error


def users_line(error: BaseException, classes: Iterable[type]) -> str | None:
    """Return file and line of the innermost line of the user's code in error's traceback, or None."""
    roots = {cls.__module__.split(".")[0] for cls in classes}
    frames = [frame for frame in _frames(error) if _is_users(frame, roots)]
    return f"{frames[-1].tb_frame.f_code.co_filename} line {frames[-1].tb_lineno}" if frames else None


def say(error: BaseException) -> str:
    """Return the class and the message of an error in one line."""
    return " ".join("".join(traceback.format_exception_only(error)).split())


def source_file(cls: type) -> str:
    """Return the file that defines cls, or its module if the file is unknown."""
    try:
        return inspect.getfile(cls)
    except (TypeError, OSError):
        return f"module {cls.__module__}"


def _frames(error: BaseException) -> Iterator[TracebackType]:
    trace = error.__traceback__
    while trace is not None:
        yield trace
        trace = trace.tb_next


def _is_users(trace: TracebackType, roots: set[str]) -> bool:
    """Return whether a frame is the user's own code: in a plug-in's package, or in no library."""
    file, module = trace.tb_frame.f_code.co_filename, str(trace.tb_frame.f_globals.get("__name__", ""))
    root = module.split(".")[0]
    if root in OURS or file.startswith("<"):
        return False
    return root in roots or not (file.startswith(STANDARD_LIBRARY) or INSTALLED & set(Path(file).parts))


def _place_of(function: Callable[..., Any]) -> str:
    code = getattr(function, "__code__", None)
    return f"{code.co_filename} line {code.co_firstlineno}" if code else repr(function)


def _declared(cls: type, name: str) -> Any:
    """Return the package's own declaration of a method or property."""
    found = [vars(base)[name] for base in cls.__mro__ if is_ours(base) and name in vars(base)][-1]
    return found.fget if isinstance(found, property) else getattr(found, "__func__", found)


@functools.cache
def _returned_hint(cls: type, name: str) -> Any:
    declared = _declared(cls, name)
    return get_type_hints(declared).get("return", Any) if isinstance(declared, FunctionType) else Any


def _signature(cls: type, name: str) -> str:
    declared = _declared(cls, name)
    if not isinstance(declared, FunctionType):
        return ""
    return f"({', '.join(inspect.signature(declared).parameters)})"


def _promise(cls: type, name: str) -> str:
    """Return the first line of the package's documentation of a method."""
    documentation = inspect.getdoc(_declared(cls, name)) or ""
    return f". {name}: {documentation.splitlines()[0]}" if documentation else ""
