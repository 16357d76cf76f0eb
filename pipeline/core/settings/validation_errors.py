"""Turns pydantic's validation errors into messages.

A message names the setting, its value, the expectation and the remedy.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pipeline.core.errors import SettingError, SettingProblem
from pipeline.core.hidden_passwords import masked

# Longer values are cut, so that messages stay readable.
_MOST_SHOWN = 80
# Pydantic's name for this error: a default is computed from other settings, and one of them was refused. The
# error is not reported, because the refused setting is reported already.
UNMADE_DEFAULT = "default_factory_not_called"
_LOOKS_LIKE_NUMBER = re.compile(r"[-+]?[0-9][0-9_.,:]*(?:[eE][-+]?[0-9]+)?|[-+]?0[xob][0-9a-fA-F_]+")
_LOOKS_LIKE_TRUTH = ("yes", "no", "on", "off", "y", "n", "true", "false")

_EXPECTED: Mapping[str, str] = {
    "int_type": "a whole number such as 17",
    "float_type": "a number such as 0.1",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text; put a number, a truth value or null in quotes",
    "path_type": "the path of a file or folder, as text",
    "tuple_type": "a list such as [1, 2]",
    "list_type": "a list such as [1, 2]",
    "dict_type": "a mapping such as {{key: value}}",
    "model_type": "settings such as {{key: value}}",
    "literal_error": "{expected}",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "multiple_of": "a multiple of {multiple_of}",
    "too_short": "at least {min_length} entries",
    "too_long": "at most {max_length} entries",
    "string_pattern_mismatch": "text of the form {pattern}",
}


def explain(error: ValidationError, *, at: str | Callable[[str], str], model: type[BaseModel]) -> str:
    """Return one line for each problem that pydantic found with the settings of a model.

    A line gives the source of the setting, its place, its value, the expectation and the nearest known key.
    at is the source, such as a file, or a function that returns the source for the dotted place of a setting.
    """
    lines = []
    for problem in problems(error, model=model):
        where = ".".join(map(str, problem.place))
        origin = at if isinstance(at, str) else at(where)
        lines.append(f"{origin}: {where}: {problem.message}" if where else f"{origin}: {problem.message}")
    return "\n".join(lines)


def problems(error: ValidationError, *, model: type[BaseModel]) -> tuple[SettingProblem, ...]:
    """Return the problems that pydantic found with the settings of a model, each mistake once."""
    refused = error.errors()
    own = [problem for problem in refused if not _follows(problem, refused)]
    return tuple(found for problem in own for found in _problems_of(problem, model))


def _follows(problem: ErrorDetails, refused: Sequence[ErrorDetails]) -> bool:
    """Return whether a problem is only a consequence of another one.

    Examples are a default that cannot be computed from a refused setting, and a list that is too short
    because some of its entries were refused.
    """
    place = problem["loc"]
    lacks_refused = any(place == other["loc"][: len(place)] != other["loc"] for other in refused)
    return problem["type"] == UNMADE_DEFAULT or (problem["type"] == "too_short" and lacks_refused)


def _problems_of(problem: ErrorDetails, model: type[BaseModel]) -> Iterator[SettingProblem]:
    kind, value = problem["type"], problem["input"]
    # Pydantic adds `[key]` to the place if the key of a mapping is refused, and not its value.
    place = tuple(part for part in problem["loc"] if part != "[key]")
    refusal = problem.get("ctx", {}).get("error")
    if isinstance(refusal, SettingError):
        for below in refusal.problems or (SettingProblem((), str(refusal)),):
            yield SettingProblem((*place, *below.place), below.message)
    elif kind == "extra_forbidden":
        names = _siblings(model, place)
        near = did_you_mean(str(place[-1]), names)
        yield SettingProblem(place, f"unknown setting; known: {', '.join(names)}.{near}")
    elif kind == "missing":
        yield SettingProblem(place, "is required")
    elif kind in _EXPECTED:
        context = problem.get("ctx", {})
        bounds = {
            name: f"{bound:g}" if isinstance(bound, float) else bound for name, bound in context.items()
        }
        expected = _EXPECTED[kind].format(**bounds).replace(" 1 entries", " 1 entry")
        names = (
            re.findall(r"'([^']*)'", expected) if kind == "literal_error" and isinstance(value, str) else []
        )
        near = did_you_mean(str(value), names)
        yield SettingProblem(
            place, f"expected {expected}, got {shown(value)}{_hint(kind, value)}{near and f'.{near}'}"
        )
    else:
        # A rule on several settings names them in its message. The values of the whole group would distract
        # from them, so they are not shown.
        got = "" if isinstance(value, Mapping | BaseModel) else f" (got {shown(value)})"
        yield SettingProblem(place, problem["msg"].removeprefix("Value error, ") + got)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" for the known name nearest to name, or an empty string if none is near."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1) or [
        one for one in names if len(name) > 2 and name in one
    ]
    return f" Did you mean {near[0]!r}?" if near else ""


def shown(value: Any) -> str:
    """Return value as text for a message, with passwords in addresses masked, and long text cut."""
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else masked(repr(value))
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"


def _hint(kind: str, value: Any) -> str:
    """Return a hint for text that was probably meant as a number or truth value, and for similar mistakes.

    It is empty if the mistake is not clear.
    """
    if kind in ("int_type", "float_type") and isinstance(value, str):
        if _LOOKS_LIKE_NUMBER.fullmatch(value):
            return " (text, not a number: write decimal digits without quotes, separators or a leading zero)"
        if value.lower() in _LOOKS_LIKE_TRUTH:
            return " (text, not a number)"
    if kind == "bool_type" and isinstance(value, str) and value.lower() in _LOOKS_LIKE_TRUTH:
        return " (YAML 1.2 takes it as text: write true or false)"
    if kind == "model_type" and value is None:
        return " (leave it out for the defaults)"
    if kind in ("tuple_type", "list_type") and isinstance(value, str | int | float) and value != "":
        return f" (write [{value}])"
    if kind == "int_type" and isinstance(value, float):
        return " (a number with a decimal point or an exponent: write the whole number in digits)"
    return ""


def _siblings(model: Any, place: tuple[int | str, ...]) -> list[str]:
    """Return the names of the settings that are known at place in model."""
    for part in place[:-1]:
        model = model.model_fields[part].annotation if hasattr(model, "model_fields") else model
        model = next(
            (choice for choice in getattr(model, "__args__", ()) if hasattr(choice, "model_fields")), model
        )
    is_chosen_by_name = any(base.__name__ == "Plugin" for base in getattr(model, "__mro__", ()))
    return sorted([*(["name"] if is_chosen_by_name else []), *getattr(model, "model_fields", ())])
