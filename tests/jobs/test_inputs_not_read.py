"""`dmm status` reads no inputs.

Labels, headers and listings show what is done; a table that needs inputs waits.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from image_folder import experiment_on, make_images
from terminal import Dmm, answer
from tiny import TINY

from pipeline.data.dataset_digests import DATASET_DIGESTS, DatasetDigests

FEW = {role: {"n_models": 2} for role in ("full", "oracle", "floor", "scout")}
POPULATIONS = {"subset": {"n_models": 4, "keep_fraction": 0.5}, **FEW}
NO_EFFECTS: dict[str, Any] = {
    "unlearners": {"nothing": "no_op", "ascent": {"name": "gradient_ascent", "epochs": 1}},
    "populations": POPULATIONS,
    "judges": {"klom": {"n_resamples": 20}},
}
COHERENT = {
    "close": {"name": "coherent", "label": 1, "n_points": 5},
    "some": {"name": "random", "n_points": 5},
}


@pytest.fixture
def forget(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return what lets this process forget what it knows of files, as a new process does."""

    def start_anew() -> None:
        for name, value in vars(DatasetDigests()).items():
            monkeypatch.setattr(DATASET_DIGESTS, name, value)

    start_anew()
    return start_anew


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return what makes every way to read an image or the bytes of a file of a data set fail."""

    def forbid() -> None:
        for name in (
            "image_files.ImageFiles.take",
            "image_files.digest_files",
            "mapped_inputs.digest_parts",
            "datasets.npz.read_arrays",
        ):
            monkeypatch.setattr(f"pipeline.data.{name}", refuse)
        monkeypatch.setattr("pipeline.core.registry.digest_files", refuse)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("inputs were read")

    return forbid


def write(changes: dict[str, Any], path: str = "mine.yaml") -> None:
    Path(path).write_text(yaml.safe_dump(TINY | NO_EFFECTS | changes, sort_keys=False))


def statuses(dmm: Dmm, *more: str) -> dict[str, str]:
    status, out, _ = dmm("status", "mine.yaml", "--store", "store", "--json", *more)
    assert status == 0, out
    return {node["node"]: node["status"] for node in answer(out)["nodes"]}


def test_inputs_that_raise_when_read_are_not_read(dmm: Dmm) -> None:
    write({"dataset": {"name": "image_folder:Unreadable"}, "forget_sets": COHERENT})
    found = statuses(dmm)
    assert {found[key] for key in ("train/full", "forget/some", "train/oracle/some")} == {"missing"}
    assert {found[key] for key in ("forget/close", "train/oracle/close", "unlearn/ascent/close")} == {
        "waiting"
    }
    status, out, _ = dmm("plan", "mine.yaml", "--store", "store", "--json")
    assert (status, "inputs were read" in answer(out)["error"]) == (2, True)


def test_status_knows_what_is_done_without_reading_images(
    dmm: Dmm, tmp_path: Path, forget: Callable[[], None], unread: Callable[[], None]
) -> None:
    make_images(tmp_path / "images", 24)
    write(experiment_on(tmp_path / "images") | NO_EFFECTS | {"resources": {"train": {"memory_gb": 1e-6}}})
    assert statuses(dmm)["train/full"] == "missing"
    status, out, _ = dmm("run", "mine.yaml", "--store", "store", "--executor", "serial", "--json")
    assert (status, answer(out)["complete"]) == (0, True)
    sides = [
        path.read_text() for path in Path("store/train").glob("full-*/*/*.json") if path.name != "node.json"
    ]
    assert all('"feed": "streamed"' in side for side in sides)
    forget()
    unread()
    assert set(statuses(dmm).values()) == {"done"}
    image = tmp_path / "images" / "0-000000.png"
    os.utime(image, ns=(0, 0))
    assert set(statuses(dmm).values()) == {"waiting"}
    assert "were not read since they last changed" in " ".join(
        dmm("status", "mine.yaml", "--store", "store")[1].split()
    )


def test_a_changed_image_makes_its_models_stale(dmm: Dmm, tmp_path: Path, forget: Callable[[], None]) -> None:
    make_images(tmp_path / "images", 24)
    write(experiment_on(tmp_path / "images") | NO_EFFECTS)
    dmm("run", "mine.yaml", "--store", "store", "--executor", "serial", "--until", "train")
    forget()
    image, other = tmp_path / "images" / "0-000000.png", tmp_path / "images" / "1-000001.png"
    content = image.read_bytes()
    image.write_bytes(other.read_bytes())
    plan = {
        node["node"]: node["status"]
        for node in answer(dmm("plan", "mine.yaml", "--store", "store", "--json")[1])["nodes"]
    }
    assert plan["train/full"] == "stale"
    image.write_bytes(content)
    plan = {
        node["node"]: node["status"]
        for node in answer(dmm("plan", "mine.yaml", "--store", "store", "--json")[1])["nodes"]
    }
    assert plan["train/full"] == "done"


@pytest.mark.parametrize("is_folder", [False, True])
def test_of_arrays_in_files_only_headers_are_read(
    dmm: Dmm, tmp_path: Path, forget: Callable[[], None], unread: Callable[[], None], is_folder: bool
) -> None:
    rng, labels = np.random.default_rng(0), np.arange(80) % 3
    arrays = {"train_inputs": rng.integers(0, 255, (60, 4), np.uint8), "train_labels": labels[:60]}
    arrays |= {"validation_inputs": rng.integers(0, 255, (20, 4), np.uint8), "validation_labels": labels[60:]}
    np.savez(tmp_path / "data.npz", **arrays)
    (tmp_path / "folder").mkdir()
    for name, array in arrays.items():
        np.save(tmp_path / "folder" / f"{name}.npy", array)
    path = str(tmp_path / ("folder" if is_folder else "data.npz"))
    write({"dataset": {"name": "npz", "path": path, "scaling": {"divide_by": 255}}, "forget_sets": COHERENT})
    status, out, _ = dmm(
        "run", "mine.yaml", "--store", "store", "--executor", "serial", "--json", "--until", "train"
    )
    assert status == 0, out
    forget()
    unread()
    found = statuses(dmm)
    assert (found["train/full"], found["train/oracle/close"], found["forget/close"]) == (
        "done",
        "done",
        "done",
    )
    assert found["unlearn/ascent/close"] == "missing"


def test_a_class_larger_than_memory_is_refused_before_compute(
    dmm: Dmm, monkeypatch: pytest.MonkeyPatch
) -> None:
    write({"forget_sets": COHERENT})
    monkeypatch.setattr("pipeline.core.memory.available_memory", lambda: 1000)
    status, out, _ = dmm("plan", "mine.yaml", "--store", "store", "--json")
    assert status == 2
    assert "'coherent' decomposes all 20 inputs of class 1" in answer(out)["error"]
    assert "give the ids with `indices` or `file`" in answer(out)["error"]


def test_a_plan_says_how_inputs_are_fed(dmm: Dmm) -> None:
    write({"resources": {"unlearn": {"memory_gb": 1e-6}}})
    plan = answer(dmm("plan", "mine.yaml", "--store", "store", "--json")[1])
    assert {stage: about["feed"] for stage, about in plan["feeds"].items()} == {
        "train": "resident",
        "unlearn": "streamed",
    }
    out = " ".join(dmm("plan", "mine.yaml", "--store", "store")[1].split())
    assert "Inputs for `train`: held in memory by each task (3.8 kB of inputs," in out
    assert (
        "Inputs for `unlearn`: streamed batch by batch (3.8 kB of inputs, 536 bytes of memory for them)."
        in out
    )
