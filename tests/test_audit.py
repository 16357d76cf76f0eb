"""The audit of dependencies fails on vulnerable packages and on answers that it does not understand.

It passes with a message if no service can be reached.
"""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        ("exit 0", 0, "no known vulnerability"),
        ("echo 'torch 2.13.0 CVE-1'; exit 1", 1, "CVE-1"),
        ("echo 'ConnectionError: could not connect' >&2; exit 1", 0, "NOT DONE"),
        ("echo 'torch could not be audited: torch (2.13.0)'", 0, "NOT DONE for 1 of"),
        ("echo 'unknown option' >&2; exit 2", 2, "unknown option"),
    ],
)
def test_what_the_audit_makes_of_an_answer(tmp_path: Path, answer: str, status: int, said: str) -> None:
    (tmp_path / "pip-audit").write_text(f"#!/bin/sh\n{answer}\n")
    (tmp_path / "pip-audit").chmod(0o755)
    done = subprocess.run(
        [ROOT / ".ci" / "audit", tmp_path], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == status
    assert said in done.stdout + done.stderr


def test_it_is_part_of_the_check() -> None:
    assert ".ci/audit" in (ROOT / "Makefile").read_text()
