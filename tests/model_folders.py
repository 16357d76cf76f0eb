"""Folders of models trained elsewhere, in the published layout.

They are small, hold random models and use other names of tensors.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.data.examples import Examples
from pipeline.evaluation.margins import margins
from pipeline.models.mlp import Mlp

WIDTH = 8
# The names that the files give the tensors of a Mlp, and the map back.
THEIRS = {
    "1.weight": "hidden.weight",
    "1.bias": "hidden.bias",
    "3.weight": "head.weight",
    "3.bias": "head.bias",
}
KEYS = {"hidden": "1", "head": "3"}


@dataclass(frozen=True)
class Made:
    """The written models of each population: states by number, and logits (n_points, n_classes)."""

    states: dict[str, dict[int, dict[str, Tensor]]]
    logits: dict[str, dict[int, np.ndarray]]


def network(examples: Examples, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return Mlp(width=WIDTH).build(examples.input_shape, examples.n_classes).eval()


def logits_of(module: nn.Module, examples: Examples) -> np.ndarray:
    with torch.no_grad():
        return module(torch.from_numpy(np.array(examples.inputs, np.float32))).numpy()


def save_state(path: Path, state: dict[str, Tensor]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({THEIRS[name]: value for name, value in state.items()}, path)


def save_array(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, values)


def write_easydub(
    root: Path,
    examples: Examples,
    forget_sets: dict[int, Sequence[int]],
    *,
    numbers: Sequence[int] = (0, 1, 2, 10),
    kinds: Sequence[str] = ("states", "margins", "logits"),
    make: Callable[[Examples, int], nn.Module] = network,
    dataset: str = "tiny",
    model: str = "small",
    epoch: int = 3,
) -> Made:
    """Write pretrained models and the oracles of each forget set, numbered as said.

    Oracles of Z have seeds from 100 Z.
    """
    made = Made({}, {})
    for forget, ids in {None: (), **forget_sets}.items():
        population = "pretrain" if forget is None else f"oracle/forget_{forget}"
        name = f"id_{{}}_epoch_{epoch}"
        made.states[population], made.logits[population] = {}, {}
        for number in numbers:
            module = make(examples, number + 100 * (forget or 0))
            state, logits = module.state_dict(), logits_of(module, examples)
            made.states[population][number], made.logits[population][number] = state, logits
            if "states" in kinds:
                save_state(root / f"models/{dataset}/{population}/{model}/{name.format(number)}.pt", state)
            for kind in {"logits", "margins"} & set(kinds):
                values = logits if kind == "logits" else margins(logits[None], examples.labels)[0]
                for part, rows in parts_of(examples, np.array(ids, int), forget, forget_sets).items():
                    save_array(
                        root / f"{kind}/{dataset}/{population}/{part}/{model}/{name.format(number)}.npy",
                        values[rows],
                    )
    for forget, ids in forget_sets.items():
        save_array(root / f"forget_sets/{dataset}/forget_set_{forget}.npy", np.array(ids, np.int64))
    return made


def parts_of(
    examples: Examples, ids: np.ndarray, forget: int | None, forget_sets: dict[int, Sequence[int]]
) -> dict[str, np.ndarray]:
    """Return the rows of each part: all training points are `retain` of pretrained models.

    Forget rows in the order of ids.
    """
    train, validation = np.arange(examples.n_train), np.arange(examples.n_train, examples.n_points)
    if forget is None:
        return {"retain": train, "val": validation} | {
            f"forget_{number}": np.array(of) for number, of in forget_sets.items()
        }
    return {"retain": np.setdiff1d(train, ids), "forget": ids, "val": validation}
