"""Reads and writes state dicts in files of torch or safetensors.

Only this module calls torch.load, and it never unpickles anything but tensors.
"""

import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from pipeline.core.errors import DataError
from pipeline.core.settings.paths import why_no_file
from pipeline.core.settings.type_hints import describe_value
from pipeline.training.ensemble import States

SAFETENSORS = ".safetensors"
# The largest number of names that one message shows.
_MOST_SHOWN = 4


def read_state_dict(path: Path, *, entry: str = "") -> dict[str, Tensor]:
    """Return the tensors of one model by name, on the CPU.

    entry is the key of the state dict in a file that holds a mapping with more entries. Raises DataError if
    the file is missing or damaged, or holds anything but named tensors.
    """
    missing = why_no_file(path)
    if missing is not None:
        raise DataError(f"checkpoint {path} {missing}; give the path of a .pt or {SAFETENSORS} file")
    found = _read_safetensors(path) if path.suffix == SAFETENSORS else read_torch(path)
    if entry:
        found = _entry(found, entry, path)
    if isinstance(found, Mapping) and found and all(isinstance(name, str) for name in found):
        others = [name for name, value in found.items() if not isinstance(value, Tensor)]
        if not others:
            return {name: value.detach() for name, value in found.items()}
        holders = [name for name in others if isinstance(found[name], Mapping)]
        remedy = f"set `entry: {holders[0]}`" if holders else "save only model.state_dict()"
        raise DataError(f"{path} holds {', '.join(map(repr, others[:_MOST_SHOWN]))} beside tensors; {remedy}")
    raise DataError(
        f"{path} holds {describe_value(found)}; expected a state dict: torch.save(model.state_dict(), path)"
    )


def read_torch(path: Path) -> Any:
    """Return the tensors, and plain containers of them, that torch.save wrote to a file.

    Raises DataError if the file cannot be read or holds anything else, which is never unpickled.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    # For a damaged file torch raises about ten classes of errors, among them pickle's own, which this module
    # does not import.
    except Exception as error:
        if "weights_only" in str(error):
            raise DataError(
                f"{path} holds Python objects beside tensors, which are never unpickled; save only the "
                "tensors: torch.save(model.state_dict(), path)"
            ) from error
        reason = (
            getattr(error, "strerror", None)
            or str(error).strip().split("\n")[0][:200]
            or type(error).__name__
        )
        raise DataError(
            f"{path} cannot be read as a torch file ({reason}); copy or download it again"
        ) from error


def write_state_dict(state: Mapping[str, Tensor]) -> bytes:
    """Return the bytes of a .pt file that holds one model's tensors."""
    buffer = io.BytesIO()
    torch.save({name: value.detach().cpu().contiguous() for name, value in state.items()}, buffer)
    return buffer.getvalue()


def renamed(state: Mapping[str, Tensor], keys: Mapping[str, str | None]) -> dict[str, Tensor]:
    """Return the tensors of state under their names in the experiment's model.

    keys maps a name in the file, or its beginning up to a dot, to the replacement: `{model: ""}` drops a
    leading `model.`, and `{fc: null}` leaves out `fc` and everything below it. The longest entry that matches
    counts. Raises DataError if two tensors get one name.
    """
    found: dict[str, Tensor] = {}
    for name, value in state.items():
        new = _new_name(name, keys)
        if new is not None and new in found:
            raise DataError(
                f"`keys` gives two tensors the name {new!r} (one of them is {name!r}); give each a name "
                "of its own"
            )
        if new is not None:
            found[new] = value
    return found


def fitted(state: Mapping[str, Tensor], template: nn.Module, where: str) -> dict[str, Tensor]:
    """Return state in the order and the dtypes of template's state; where names state in messages.

    Raises DataError with the names of missing, extra and misshapen tensors.
    """
    expected = template.state_dict()
    problems = _problems(state, expected)
    if problems:
        hint = (
            ""
            if set(state) == set(expected)
            else "; map names with `keys: {name in the file: name in the model}`, null leaves one out"
        )
        raise DataError(f"{where} does not match the model: {'; '.join(problems)}{hint}")
    return {name: state[name].to(wanted.dtype) for name, wanted in expected.items()}


def stacked(members: Sequence[Mapping[str, Tensor]]) -> States:
    """Return the states of several models as one: the first axis of each tensor is the model."""
    return {name: torch.stack([member[name] for member in members]) for name in members[0]}


def check_states(states: States, template: nn.Module, n_models: int) -> None:
    """Raise DataError unless states hold the tensors of template for n_models models."""
    expected = {name: (n_models, *value.shape) for name, value in template.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in states.items()}
    if found != expected:
        different = sorted(
            name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name)
        )
        shown = "; ".join(
            f"{name} is {found.get(name)}, expected {expected.get(name)}" for name in different[:_MOST_SHOWN]
        )
        raise DataError(f"its states do not match the model: {shown}")


def _problems(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> list[str]:
    missing = [f"{name} {tuple(expected[name].shape)}" for name in expected if name not in state]
    extra = [f"{name} {tuple(state[name].shape)}" for name in state if name not in expected]
    shared = [name for name in expected if name in state]
    misshapen = [
        f"{name} is {tuple(state[name].shape)}, expected {tuple(expected[name].shape)}"
        for name in shared
        if state[name].shape != expected[name].shape
    ]
    kinds = [
        f"{name} holds {state[name].dtype}, expected {expected[name].dtype}"
        for name in shared
        if state[name].dtype.is_floating_point != expected[name].dtype.is_floating_point
    ]
    named = {"missing": missing, "extra": extra, "misshapen": misshapen, "of another kind": kinds}
    return [f"{what}: {_listed(names)}" for what, names in named.items() if names]


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_SHOWN
    return ", ".join(names[:_MOST_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _new_name(name: str, keys: Mapping[str, str | None]) -> str | None:
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        beginning = ".".join(parts[:length])
        if beginning in keys:
            put = keys[beginning]
            return None if put is None else ".".join([part for part in (put, *parts[length:]) if part])
    return name


def _entry(found: Any, entry: str, path: Path) -> Any:
    if isinstance(found, Mapping) and entry in found:
        return found[entry]
    held = (
        ", ".join(map(repr, list(found)[:_MOST_SHOWN]))
        if isinstance(found, Mapping)
        else describe_value(found)
    )
    raise DataError(f"{path} has no entry {entry!r}; it holds {held}")


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, OSError) as error:
        raise DataError(
            f"{path} cannot be read as a safetensors file ({error}); copy or download it again"
        ) from error
