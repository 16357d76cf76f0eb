"""A tracking address that can never work is an error of every command that uses it, before compute."""

from pathlib import Path

import pytest
from terminal import Dmm


@pytest.mark.parametrize(
    "command", [("run", "--executor", "serial"), ("run", "--executor", "serial", "--until-enough"), ("ui",)]
)
@pytest.mark.parametrize("uri", ["localhost:5000", "mysql://host/db", "sqlite:///no/such/folder/x.db"])
@pytest.mark.parametrize("place", ["config", "environment"])
def test_it_is_a_wrong_setting(
    dmm: Dmm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], uri: str, place: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    verb, *more = command
    given = uri if place == "config" else "null"
    status, _, err = dmm(verb, "tiny.yaml", "--store", "store", "--set", f"tracking.uri={given}", *more)
    assert (status, repr(uri) in err) == (2, True)
    assert not (tmp_path / "store").exists()
