"""The structure of the code: imports between rooms, imports at start, the content of a wheel, plug-ins."""

import ast
import inspect
import json
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

from jobs.cli import app
from pipeline.attribution import ESTIMATORS
from pipeline.core.registry import describe, revision
from pipeline.data import DATASETS, FORGET_SETS
from pipeline.evaluation.judges import JUDGES
from pipeline.models import MODELS
from pipeline.sources import SOURCES
from pipeline.studies import STUDIES
from pipeline.studies.convex.removals import REMOVALS
from pipeline.unlearning import UNLEARNERS

ROOT = Path(__file__).parents[1]
TABLES = [DATASETS, FORGET_SETS, MODELS, ESTIMATORS, UNLEARNERS, JUDGES, SOURCES, REMOVALS, STUDIES]
PLUGINS = [plugin for table in TABLES for plugin in table.plugins]
# What plug-ins cannot do without, as a user would have to say it.
REQUIRED = {
    "npz": {"path": "data.npz"},
    "coherent": {"label": 0, "n_points": 2},
    "random": {"n_points": 2},
    "hardest": {"n_points": 2},
    "indices": {"ids": [1, 2]},
    "file": {"path": "ids.txt"},
    "madrylab": {"folder": "records"},
    "easydub": {"folder": "EasyDUB"},
    "klom_models": {"folder": "KLOM-models"},
    "checkpoints": {"folder": "models"},
}
SOURCES = {
    path.relative_to(ROOT).as_posix(): path
    for folder in ("pipeline", "jobs")
    for path in sorted((ROOT / folder).rglob("*.py"))
}


def importers(package: str) -> set[str]:
    """Return the files that import a package anywhere in them, type checking and functions included."""
    found = set()
    for name, path in SOURCES.items():
        nodes = list(ast.walk(ast.parse(path.read_text())))
        modules = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
        modules += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
        if any(module.split(".")[0] == package for module in modules):
            found.add(name)
    return found


def test_imports_follow_the_order_of_the_house():
    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), cache_dir=None) == 0


@pytest.mark.parametrize(
    ("package", "allowed"),
    [
        ("mlflow", "pipeline/tracking/mlflow/"),
        ("ray", "pipeline/execution/ray/"),
        ("pyarrow", "pipeline/store/parquet.py"),
        ("fsspec", "pipeline/store/files/objects.py"),
        ("s3fs", "nothing"),
        ("pickle", "nothing"),
        ("cloudpickle", "nothing"),
        ("joblib", "nothing"),
        ("shelve", "nothing"),
    ],
)
def test_only_one_room_knows_a_package(package, allowed):
    assert [name for name in importers(package) if not name.startswith(allowed)] == []


def test_nothing_is_unpickled():
    for name, path in SOURCES.items():
        calls = {
            ast.unparse(node.func): node
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call)
        }
        assert not calls.keys() & {"pd.read_pickle", "pandas.read_pickle"}, name
        for call, node in calls.items():
            given = {word.arg: ast.unparse(word.value) for word in node.keywords}
            assert call != "torch.load" or (name, given["weights_only"]) == (
                "pipeline/sources/state_dicts.py",
                "True",
            ), name
            allowed = given.get("allow_pickle")
            assert (
                allowed == "False"
                if call.endswith(("np.load", "format.read_array"))
                else allowed in (None, "False")
            ), (name, call)


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("jobs.cli", ["mlflow", "ray", "fsspec"]),
        ("pipeline.execution.walk", ["mlflow", "ray", "s3fs"]),
        ("pipeline.evaluation.klom", ["torch", "mlflow", "ray"]),
    ],
)
def test_what_is_not_used_is_not_imported(module, heavy):
    code = f"import json, sys, {module}; print(json.dumps([name for name in {heavy} if name in sys.modules]))"
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert json.loads(answer.stdout) == []


def test_dependencies_are_declared_and_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = project["dependencies"] + project["optional-dependencies"]["dev"]
    pinned = {
        line.split("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    names = {requirement.split(">")[0].split("[")[0].lower() for requirement in asked}
    assert names <= pinned


def test_a_wheel_carries_what_runs_need(tmp_path):
    # From a copy: setuptools leaves a build folder beside what it builds.
    source = tmp_path / "source"
    for folder in ("pipeline", "jobs"):
        shutil.copytree(ROOT / folder, source / folder)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        str(tmp_path),
        str(source),
    ]
    subprocess.run(command, check=True, capture_output=True)
    names = set(zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist())
    assert {
        "jobs/configs/digits.yaml",
        "jobs/configs/convex.yaml",
        "pipeline/show/templates/comparison.html.j2",
        "pipeline/show/templates/report.html.j2",
        "pipeline/show/templates/report.css",
    } <= names
    assert not [name for name in names if name.startswith(("tests", "cluster"))]


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda plugin: plugin.name)
def test_every_plugin_is_a_frozen_value_that_its_description_rebuilds(plugin, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ids.txt").write_text("17\n18\n")
    table = next(table for table in TABLES if plugin in table.plugins)
    built = table.build({"name": plugin.name, **REQUIRED.get(plugin.name, {})})
    assert table.build(json.loads(json.dumps(describe(built)))) == built
    assert revision(built)[plugin.name] == plugin.revision
    assert plugin.model_config["frozen"]


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda plugin: plugin.name)
def test_every_plugin_says_what_it_is(plugin):
    assert inspect.getdoc(plugin) not in (None, inspect.getdoc(plugin.__mro__[1]))


@pytest.mark.parametrize(
    "verb",
    ["run", "plan", "status", "watch", "verify", "attribute", "klom", "compare", "export", "config", "ui"],
)
def test_every_verb_is_a_command_with_a_sentence(verb):
    commands = {command.name or command.callback.__name__: command for command in app.registered_commands}
    assert inspect.getdoc(commands[verb].callback)
