"""Public names are unique in the package, and names of modules are unique within a room."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
# The room of the convex study.
TYPE_VARIABLES = ("T",)
STUDY = "pipeline/studies/convex/"


def defined_in(path: Path) -> Iterator[str]:
    """Yield the public names that a module defines at its top."""
    for node in ast.parse(path.read_text()).body:
        targets = (
            node.targets
            if isinstance(node, ast.Assign)
            else [node.target]
            if isinstance(node, ast.AnnAssign)
            else []
        )
        names = [
            part.id
            for target in targets
            for part in getattr(target, "elts", [target])
            if isinstance(part, ast.Name)
        ]
        names += [node.name] if isinstance(node, ast.ClassDef | ast.FunctionDef) else []
        yield from (name for name in names if not name.startswith("_") and name not in TYPE_VARIABLES)


def test_no_public_name_is_defined_twice() -> None:
    """A command may have the name of the function that it calls, and `main` is where a process begins."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in [*(ROOT / "pipeline").rglob("*.py"), *(ROOT / "jobs").rglob("*.py")]:
        for name in defined_in(path):
            found[name].append(path.relative_to(ROOT).as_posix())
    twice = {name: sorted(places) for name, places in found.items() if len(places) > 1}
    assert twice.pop("main") == ["jobs/__main__.py", "jobs/cli.py"]
    assert twice.pop("klom") == ["jobs/commands/klom.py", "pipeline/evaluation/klom.py"]
    assert twice == {}


def test_no_module_name_is_used_twice_in_a_room() -> None:
    """Two names may repeat: `base`, for base classes, and `run`, for a command and its entry as a Ray job."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for path in [*(ROOT / "pipeline").rglob("*.py"), *(ROOT / "jobs").rglob("*.py")]:
        place = path.relative_to(ROOT)
        room = "/".join(place.parts[: 2 if place.parts[0] == "pipeline" else 1])
        if path.stem not in ("__init__", "__main__", "base"):
            found[room, path.stem].append(place.as_posix())
    twice = {key: sorted(places) for key, places in found.items() if len(places) > 1}
    assert twice == {("jobs", "run"): ["jobs/commands/run.py", "jobs/run.py"]}


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
