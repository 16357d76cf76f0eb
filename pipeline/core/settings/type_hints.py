"""Checks whether a value fits a type hint, and describes values and hints in words for users.

Any NumPy array fits a hint of an array: its dtype and shape are not checked.
"""

import inspect
import numbers
from collections.abc import Mapping, Set
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import numpy as np

# Types that are accepted in place of the declared one: NumPy's integers and truth values for Python's, any
# set for a frozen set, a tuple for a list, and any mapping for a dict.
STAND_INS: Mapping[type, Any] = {
    int: numbers.Integral,
    bool: (bool, np.bool_),
    frozenset: Set,
    list: (list, tuple),
    dict: Mapping,
}


def fits(value: Any, hint: Any) -> bool:
    """Return whether value, with its elements, fits hint.

    The hint of an array asks for a NumPy array of any dtype and shape.
    """
    origin, parts = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin in (Union, UnionType):
        return any(fits(value, part) for part in parts)
    if hasattr(hint, "array_type"):
        return isinstance(value, np.ndarray)
    container = origin or hint
    if not inspect.isclass(container):
        return True
    if not isinstance(value, STAND_INS.get(container, container)):
        return False
    if container is int and isinstance(value, bool):
        return False
    if issubclass(container, Mapping) and len(parts) == 2:
        return all(fits(key, parts[0]) and fits(item, parts[1]) for key, item in value.items())
    is_checked = issubclass(container, list | tuple | Set) and bool(parts)
    return not is_checked or all(fits(item, parts[0]) for item in value)


def describe_value(value: Any) -> str:
    """Return a description of a value: its type, and the dtype and shape or the types of the elements."""
    kind = type(value).__name__
    if value is None or isinstance(value, bool):
        return repr(value)
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return f"{kind} of {value.dtype} and shape {tuple(value.shape)}"
    if isinstance(value, Mapping):
        items = ", ".join(f"{key!r}: {type(item).__name__}" for key, item in list(value.items())[:8])
        return f"{kind} of {items}" if value else f"empty {kind}"
    if isinstance(value, list | tuple | Set):
        types = ", ".join(sorted({type(item).__name__ for item in value}))
        return f"{kind} of {types}" if value else f"empty {kind}"
    return f"{value!r}"[:80] if isinstance(value, str | int | float) else kind


def name_hint(hint: Any) -> str:
    """Return a description in words of what a hint asks for."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return " or ".join(map(name_hint, parts))
    if hint in (None, NoneType):
        return "None"
    if hasattr(hint, "array_type"):
        return "a NumPy array"
    if origin is None or not parts:
        return getattr(hint, "__name__", str(hint))
    return f"{origin.__name__} of {' and '.join(name_hint(part) for part in parts if part is not Ellipsis)}"
