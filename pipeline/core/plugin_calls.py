"""Turns errors and wrong results of classes from outside the package into PluginErrors.

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
# Errors of this package that a user's class raises on purpose. They keep their type and message; the name of
# the user's class and the line are added to the message.
ON_PURPOSE = (ConfigError, DataError, ShapeError, TrainingError)


def is_ours(cls: type) -> bool:
    """Return whether cls is part of the package."""
    return cls.__module__.split(".")[0] == "pipeline"


def class_name(cls: type) -> str:
    """Return the name of a user's class for messages, such as `mine:Tanh (your Model)`."""
    bases = [base for base in cls.__mro__ if is_ours(base)]
    kinds = [base.__name__ for base in bases if not base.__module__.startswith("pipeline.core.")]
    return f"{cls.__module__}:{cls.__qualname__} (your {kinds[-1] if kinds else 'plug-in'})"


def guard_methods(cls: type) -> None:
    """Guard the public methods and properties of a user's class that a base class of the package declares.

    A guarded method turns errors of the user's code into PluginErrors. The result of a method called NAME
    must fit the type that the base class declares. It must also pass the method `_check_NAME`, if there is
    one. Classes of the package are not changed.
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
    # An inherited method may already be guarded with the name of its own class. Then the function inside that
    # guard is guarded with the name of cls.
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
    """Turn an error that the user's code raises in this block into a PluginError with class and line.

    Methods of plug-ins are guarded already. This covers the objects that they return, such as a torch module
    with its forward(). If no line of the user's code took part, the error keeps its type and gets a note. The
    note names the user's classes among plugins.
    """
    try:
        yield
    except PipelineError:
        raise
    # An object that a user's class returned may raise anything.
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
    """Return file and line of the innermost frame of the user's code in error's traceback, or None."""
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
    """Return whether a frame is the user's own code.

    roots holds the top-level packages of the user's classes. Code in one of them is the user's. So is code
    outside this package, the standard library and the installed packages.
    """
    file, module = trace.tb_frame.f_code.co_filename, str(trace.tb_frame.f_globals.get("__name__", ""))
    root = module.split(".")[0]
    if root in OURS or file.startswith("<"):
        return False
    return root in roots or not (file.startswith(STANDARD_LIBRARY) or INSTALLED & set(Path(file).parts))


def _place_of(function: Callable[..., Any]) -> str:
    code = getattr(function, "__code__", None)
    return f"{code.co_filename} line {code.co_firstlineno}" if code else repr(function)


def _declared(cls: type, name: str) -> Any:
    """Return the function by which a base class of the package first declares a method or property."""
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
    """Return the first line of a method's documentation in the package, ready to end a message."""
    documentation = inspect.getdoc(_declared(cls, name)) or ""
    return f". {name}: {documentation.splitlines()[0]}" if documentation else ""
