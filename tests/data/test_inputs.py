"""Every kind of inputs gives the same points, knows its content, and notices a file that changed in place."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from image_folder import make_images, names_of
from PIL import Image

from pipeline.core.errors import DataError, InputsNotReadError, PluginError
from pipeline.data.examples import Examples
from pipeline.data.image_files import ImageFiles
from pipeline.data.inputs import ArrayInputs, FileInputs, Inputs, UnreadInputs, read_inputs
from pipeline.data.mapped_inputs import MappedInputs
from pipeline.data.scaling import Scaling

N = 14
Make = Callable[[], Inputs]


@pytest.fixture
def images(tmp_path: Path) -> np.ndarray:
    return make_images(tmp_path / "images", N)


@pytest.fixture(params=["array", "mapped", "files"])
def make(request: pytest.FixtureRequest, images: np.ndarray, tmp_path: Path) -> Make:
    """Return what opens the images as one kind of inputs."""
    np.save(tmp_path / "first.npy", images[:9])
    np.save(tmp_path / "rest.npy", images[9:])
    return {
        "array": lambda: ArrayInputs(images),
        "mapped": lambda: MappedInputs([tmp_path / "first.npy", tmp_path / "rest.npy"]),
        "files": lambda: ImageFiles(tmp_path / "images", names_of(tmp_path / "images")),
    }[request.param]


def test_any_points_can_be_had_in_any_order(make: Make, images: np.ndarray) -> None:
    ids, inputs = np.array([13, 0, 9, 8, 0]), make()
    assert isinstance(inputs, Inputs)
    assert (inputs.shape, inputs.dtype) == (images.shape, np.uint8)
    assert np.array_equal(inputs.take(ids), images[ids])
    assert inputs.take(ids[:0]).shape == (0, *images.shape[1:])


def test_models_see_float32_scaled(make: Make, images: np.ndarray) -> None:
    scaling = Scaling(divide_by=255, mean=(0.5, 0.4, 0.3), std=(0.2,))
    examples = Examples(inputs=make(), labels=np.arange(N) % 3, n_train=9, n_classes=3, scaling=scaling)
    expected = (images[2:4] / 255 - np.array([0.5, 0.4, 0.3])[:, None, None]) / 0.2
    seen = examples.inputs_of(np.array([2, 3]))
    assert seen.dtype == np.float32
    assert np.abs(seen - expected).max() < 1e-5
    assert examples.digest != Examples(inputs=make(), labels=np.arange(N) % 3, n_train=9, n_classes=3).digest


def test_inputs_travel_with_their_token(make: Make, images: np.ndarray) -> None:
    inputs = make()
    travelled = pickle.loads(pickle.dumps(inputs))
    assert travelled.token == inputs.token == make().token
    assert np.array_equal(travelled.take(np.arange(N)), images)


def test_a_mapped_array_has_the_token_of_the_array(tmp_path: Path) -> None:
    array = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    np.save(tmp_path / "whole.npy", np.asfortranarray(array))
    assert MappedInputs([tmp_path / "whole.npy"]).token == ArrayInputs(array).token


def test_inputs_in_files_travel_as_names(tmp_path: Path) -> None:
    np.save(tmp_path / "large.npy", np.zeros((1000, 100)))
    assert len(pickle.dumps(MappedInputs([tmp_path / "large.npy"]))) < 2000


def change(path: Path) -> None:
    """Write other content of the same size in place, with another time."""
    about = path.stat()
    content = bytearray(path.read_bytes())
    content[-20] ^= 0xFF
    path.write_bytes(bytes(content))
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns + 1))


@pytest.mark.parametrize("make", ["mapped", "files"], indirect=True)
def test_a_file_that_changed_in_place_is_found(make: Callable[[], FileInputs], tmp_path: Path) -> None:
    inputs = make()
    token, listing = inputs.token, inputs.listing
    for name in ("first.npy", "images/1-000001.png"):
        change(tmp_path / name)
    with pytest.raises(DataError, match="changed since the run began, or differs on this machine"):
        inputs.take(np.arange(3))
    assert make().listing != listing
    assert make().token != token


def test_a_file_that_was_only_touched_is_the_same(make: Make, images: np.ndarray, tmp_path: Path) -> None:
    inputs, token = make(), make().token
    assert inputs.token == token
    for path in [*tmp_path.glob("*.npy"), *tmp_path.glob("images/*")]:
        os.utime(path, ns=(0, 0))
    assert np.array_equal(inputs.take(np.arange(N)), images)
    assert make().token == token


@pytest.mark.parametrize("make", ["mapped", "files"], indirect=True)
def test_what_was_read_before_is_taken_over(
    make: Callable[[], FileInputs], monkeypatch: pytest.MonkeyPatch
) -> None:
    read, fresh = make(), make()
    contents, token = read.contents, read.token
    for name in ("image_files.digest_files", "mapped_inputs.digest_parts"):
        monkeypatch.setattr(f"pipeline.data.{name}", None)
    fresh.adopt(contents)
    assert fresh.token == token


def test_an_image_of_another_size_or_none_is_named(images: np.ndarray, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    inputs = ImageFiles(folder, names_of(folder), mode="L")
    assert inputs.shape == (N, 1, 6, 6)
    Image.new("RGB", (5, 4)).save(folder / "2-000002.png")
    with pytest.raises(DataError, match=r"2-000002.png is 4 x 5 pixels, 0-000000.png is 6 x 6; resize"):
        inputs.take(np.array([2]))
    (folder / "2-000002.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"2-000002.png is not an image that can be decoded"):
        inputs.take(np.array([2]))
    (folder / "2-000002.png").unlink()
    with pytest.raises(DataError, match=r"2-000002.png cannot be read \(No such file"):
        _ = inputs.token


def test_arrays_that_cannot_be_mapped_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((3, 2)))
    np.save(tmp_path / "b.npy", np.zeros((3, 4)))
    np.save(tmp_path / "nan.npy", np.array([[0.0], [np.nan]]))
    np.save(tmp_path / "large.npy", np.array([[0.0], [1.0], [1e300]]))
    np.save(tmp_path / "text.npy", np.array(["a", "b"]))
    with pytest.raises(DataError, match="make them equal"):
        MappedInputs([tmp_path / "a.npy", tmp_path / "b.npy"])
    with pytest.raises(DataError, match=r"row 1 of .*nan.npy contains NaN"):
        _ = MappedInputs([tmp_path / "nan.npy"]).token
    with pytest.raises(DataError, match=r"row 2 of .*large.npy contains .* too large for float32"):
        _ = MappedInputs([tmp_path / "large.npy"]).token
    with pytest.raises(DataError, match=r"text.npy is <U1"):
        MappedInputs([tmp_path / "text.npy"])
    with pytest.raises(DataError, match=r"none.npy cannot be read"):
        MappedInputs([tmp_path / "none.npy"])


class Wrong(Inputs):
    """A user's inputs with a mistake."""

    shape, dtype, token = (4, 2), np.dtype(np.float32), "wrong"

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def take(self, ids: np.ndarray) -> np.ndarray:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            np.zeros((2, 2)),
            r"returned ndarray of float64 and shape \(2, 2\); expected float32 of shape \(2, 2\)",
        ),
        (np.zeros((1, 2), np.float32), r"expected float32 of shape \(2, 2\)"),
        (None, "returned None"),
        (np.full((2, 2), np.nan, np.float32), "the input of point 1 contains NaN"),
        (KeyError("label"), r"inputs of class Wrong cannot be read \(KeyError"),
    ],
)
def test_mistakes_of_a_users_own_kind_are_named(answer: object, message: str, unannotated: None) -> None:
    with pytest.raises((PluginError, DataError), match=message):
        read_inputs(Wrong(answer), np.array([1, 2]))


def test_inputs_that_are_not_read_say_so() -> None:
    unread = UnreadInputs((3, 2), np.dtype(np.uint8))
    for use in (
        lambda: unread.token,
        lambda: unread.take(np.arange(2)),
        lambda: unread[0],
        lambda: np.asarray(unread),
    ):
        with pytest.raises(InputsNotReadError):
            use()


@pytest.mark.parametrize(
    ("scaling", "message"), [({"mean": (0.1, 0.2)}, "mean has 2 numbers"), ({"std": (1.0,) * 4}, "std has 4")]
)
def test_a_scaling_of_other_inputs_is_refused(
    images: np.ndarray, scaling: dict[str, tuple[float, ...]], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        Examples(inputs=images, labels=np.arange(N) % 3, n_train=9, n_classes=3, scaling=Scaling(**scaling))
