"""Files of state dicts.

Only tensors are ever unpickled, and every error is one message with its remedy.
"""

import pickle
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from pipeline.core.errors import DataError
from pipeline.sources.state_dicts import fitted, read_state_dict, write_state_dict

STATE = {"weight": torch.ones(2, 3), "bias": torch.zeros(2)}


class Trap:
    def __reduce__(self):
        return (Path("sprung").touch, ())


@pytest.mark.parametrize(
    "save",
    [torch.save, safetensors.torch.save_file, lambda state, path: path.write_bytes(write_state_dict(state))],
)
def test_what_was_saved_is_read(tmp_path, save):
    path = tmp_path / ("a.safetensors" if save is safetensors.torch.save_file else "a.pt")
    save(STATE, path)
    assert all(torch.equal(read_state_dict(path)[name], value) for name, value in STATE.items())


def test_an_entry_of_a_larger_file_is_read(tmp_path):
    torch.save({"state_dict": STATE, "epoch": 3}, tmp_path / "a.pt")
    assert read_state_dict(tmp_path / "a.pt", entry="state_dict").keys() == STATE.keys()
    with pytest.raises(DataError, match="beside tensors; set `entry: state_dict`"):
        read_state_dict(tmp_path / "a.pt")
    with pytest.raises(DataError, match="no entry 'model'; it holds 'state_dict', 'epoch'"):
        read_state_dict(tmp_path / "a.pt", entry="model")


def test_objects_are_never_unpickled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.pt").write_bytes(pickle.dumps(Trap(), protocol=2))
    torch.save({"model": Trap()}, tmp_path / "b.pt")
    for name in ("a.pt", "b.pt"):
        with pytest.raises(DataError, match=r"never unpickled; save only the tensors"):
            read_state_dict(tmp_path / name)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04half"])
def test_a_damaged_file_is_named(tmp_path, content):
    (tmp_path / "a.pt").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.pt (cannot be read as a torch file|.*never unpickled)"):
        read_state_dict(tmp_path / "a.pt")


def test_a_file_that_is_cut_short_is_named(tmp_path):
    content = write_state_dict({"weight": torch.ones(100, 100)})
    (tmp_path / "a.pt").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"a\.pt cannot be read as a torch file"):
        read_state_dict(tmp_path / "a.pt")


def test_a_file_of_something_else_is_named(tmp_path):
    torch.save(torch.ones(3), tmp_path / "a.pt")
    with pytest.raises(DataError, match=r"holds Tensor of .* and shape .3,.; expected a state dict"):
        read_state_dict(tmp_path / "a.pt")
    with pytest.raises(DataError, match=r"b.pt does not exist"):
        read_state_dict(tmp_path / "b.pt")


def test_numbers_of_other_width_are_widened_and_other_kinds_are_refused():
    template = nn.Linear(3, 2)
    half = {name: value.half() for name, value in STATE.items()}
    assert fitted(half, template, "a.pt")["weight"].dtype == torch.float32
    with pytest.raises(
        DataError,
        match=r"a.pt does not match the model: of another kind: bias holds torch.int64, expected",
    ):
        fitted(STATE | {"bias": torch.zeros(2, dtype=torch.int64)}, template, "a.pt")
