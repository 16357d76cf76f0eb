"""A study has names of its own: none of its modules defines a public name that the method defines too."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
# The room of the convex study.
STUDY = "pipeline/studies/convex/"


def defined_in(path: Path) -> Iterator[str]:
    """Yield the public names that a module defines at its top."""
    for node in ast.parse(path.read_text()).body:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        names = [target.id for target in targets if isinstance(target, ast.Name)]
        names += [node.name] if isinstance(node, ast.ClassDef | ast.FunctionDef) else []
        yield from (name for name in names if not name.startswith("_"))


def test_a_study_shares_no_public_name_with_the_method() -> None:
    ours: dict[str, str] = {}
    theirs: dict[str, str] = {}
    for path in [*(ROOT / "pipeline").rglob("*.py"), *(ROOT / "jobs").rglob("*.py")]:
        place = path.relative_to(ROOT).as_posix()
        found = theirs if place.startswith(STUDY) else ours
        found |= dict.fromkeys(defined_in(path), place)
    assert {name: (theirs[name], ours[name]) for name in theirs.keys() & ours.keys()} == {}


def test_shared_files_name_no_study() -> None:
    """Only `studies/__init__.py` names a study in code: words such as "convex" in a docstring are none."""
    named = []
    for path in [*(ROOT / "pipeline").rglob("*.py"), *(ROOT / "jobs").rglob("*.py")]:
        place = path.relative_to(ROOT).as_posix()
        if place.startswith(STUDY) or place in ("pipeline/studies/__init__.py", "jobs/__init__.py"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            is_name = isinstance(node, ast.Name | ast.Attribute | ast.alias | ast.ImportFrom | ast.Constant)
            text = ast.unparse(node) if is_name else ""
            if "convex" in text.lower() and "\n" not in text and len(text) < 60:
                named.append(f"{place}: {text}")
    assert named == []
