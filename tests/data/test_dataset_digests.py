"""Cached content belongs to its files only, not to other files that look alike."""

import os
from pathlib import Path

import numpy as np
import pytest
from image_folder import make_images

from pipeline.data.dataset import Dataset
from pipeline.data.dataset_digests import Content, DatasetDigests
from pipeline.data.datasets.npz import ArraysFile
from pipeline.data.image_files import ImageFiles

LABELS = {"train_labels": np.arange(12) % 3, "validation_labels": np.arange(6) % 3}


def write(path: Path, seed: int, *, is_folder: bool) -> ArraysFile:
    """Write arrays of which the inputs alone depend on the seed, with times that do not."""
    rng = np.random.default_rng(seed)
    inputs = {
        f"{split}_inputs": rng.normal(size=(n, 4)).astype(np.float32)
        for split, n in (("train", 12), ("validation", 6))
    }
    path.parent.mkdir(exist_ok=True)
    if not is_folder:
        np.savez(path, **inputs, **LABELS)
    for name, array in (inputs | LABELS).items() if is_folder else ():
        path.mkdir(exist_ok=True)
        np.save(path / f"{name}.npy", array)
    for file in [path, *path.glob("*")]:
        os.utime(file, (1.6e9, 1.6e9))
    return ArraysFile(path=path)


def found_in(known: DatasetDigests, dataset: Dataset) -> tuple[str, str, str]:
    """Return the digest of what is read, and what is known of it afterwards."""
    return known.read(dataset).digest, known.digest(dataset), known.content(dataset)


@pytest.mark.parametrize("is_folder", [False, True])
def test_other_inputs_at_another_place_are_other_data(tmp_path: Path, is_folder: bool) -> None:
    known = DatasetDigests()
    name = "data" if is_folder else "data.npz"
    first, second = (
        write(tmp_path / place / name, seed, is_folder=is_folder) for seed, place in enumerate("AB")
    )
    for dataset in (first, second):
        assert found_in(known, dataset) == (dataset.load().digest, dataset.load().digest, dataset.content())
    assert not set(found_in(known, first)) & set(found_in(known, second))


@pytest.mark.parametrize("is_folder", [False, True])
def test_a_file_replaced_by_one_of_the_same_size_and_time_is_read_again(
    tmp_path: Path, is_folder: bool
) -> None:
    known, place = DatasetDigests(), tmp_path / ("data" if is_folder else "data.npz")
    before = found_in(known, write(place, 0, is_folder=is_folder))
    after = found_in(known, write(place, 1, is_folder=is_folder))
    assert not set(before) & set(after)
    assert after == found_in(DatasetDigests(), ArraysFile(path=place))


def test_what_another_process_read_is_not_taken_for_another_place(tmp_path: Path) -> None:
    kept: dict[str, Content] = {}
    one, other = DatasetDigests(), DatasetDigests()
    first, second = (write(tmp_path / name / "data", seed, is_folder=True) for seed, name in enumerate("AB"))
    one.read(first)
    kept.update([one.of(first)])
    other.recall = kept.get
    assert other.outline(first).digest == first.load().digest
    assert other.read(second).digest == second.load().digest


def test_images_at_another_place_have_another_listing(tmp_path: Path) -> None:
    for name in "AB":
        make_images(tmp_path / name, 3)
        for file in (tmp_path / name).iterdir():
            os.utime(file, (1.6e9, 1.6e9))
    names = sorted(file.name for file in (tmp_path / "A").iterdir())
    first, second = (ImageFiles(tmp_path / name, names) for name in "AB")
    assert (first.token, first.listing == second.listing) == (second.token, False)
