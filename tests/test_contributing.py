"""Each file that CONTRIBUTING.md names exists or is marked as new."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
NAMED = set(re.findall(r"\b(?:pipeline|jobs|tests)/[\w/]+\.\w+", TEXT))


def test_every_file_that_is_named_exists() -> None:
    missing = {name for name in NAMED if not (ROOT / name).is_file() and not name.endswith("/NAME.py")}
    assert not missing


def test_ten_changes_are_listed_and_new_files_lie_in_rooms_that_exist() -> None:
    rows = [line for line in TEXT.splitlines() if line.startswith("| ") and "pipeline/" in line]
    new = set(re.findall(r"\*(pipeline/[\w/]+)/NAME\.py\*", TEXT))
    assert len(rows) == 10
    assert new
    assert all((ROOT / room).is_dir() for room in new)
