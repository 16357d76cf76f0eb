"""The `dmm` command, run in a folder of the test."""

import sys
from pathlib import Path

import pytest
import yaml
from terminal import Dmm
from tiny import TINY

from jobs import cli


@pytest.fixture
def dmm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Dmm:
    """Run `dmm` in a folder with the tiny experiment as tiny.yaml.

    Return exit status, standard output and standard error.
    """
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(TINY, sort_keys=False))

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["dmm", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return run
