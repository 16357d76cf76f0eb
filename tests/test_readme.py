"""The examples in READMEs run, and everything they name exists."""

import re
from pathlib import Path

import numpy as np
import pytest
from image_folder import make_images
from tiny import run_serially, statuses

from jobs.session import open_session

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
# The README of every room.
ALL = {
    path.parent: path.read_text() for path in sorted(ROOT.glob("**/README.md")) if ".venv" not in path.parts
}
SMALL = (
    "populations={subset: {n_models: 8}, designed: {n_models: 4}, scout: {n_models: 2}}",
    *(f"populations.{role}.n_models=4" for role in ("heldout", "full", "oracle", "floor")),
    "unlearners.dmm.retain_points=20",
    "recipe.epochs=1",
    "recipe.batch_size=20",
    "tracking.uri=none",
)


def block(language: str) -> str:
    """Return the README's first block of a language."""
    return re.search(rf"```{language}\n(.*?)```", README, re.DOTALL)[1]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder: the README's config and plug-in, data of the user's own, and a request."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "mine.yaml").write_text(block("yaml"))
    (tmp_path / "mymodule.py").write_text(block("python"))
    (tmp_path / "request_17.csv").write_text("id\n3\n14\n15\n")
    rng = np.random.default_rng(0)
    splits = {"train": 60, "validation": 20}
    arrays = {f"{split}_inputs": rng.normal(size=(n, 5)).astype(np.float32) for split, n in splits.items()}
    np.savez(
        tmp_path / "my_data.npz",
        **arrays,
        **{f"{split}_labels": np.arange(n) % 3 for split, n in splits.items()},
    )
    return tmp_path


@pytest.mark.parametrize("model", ["{name: mlp, width: 8}", "{name: 'mymodule:Tanh', width: 4}"])
def test_your_data_and_your_model(folder: Path, model: str) -> None:
    session = open_session("mine.yaml", [*SMALL, f"model={model}"], "store")
    assert not run_serially(session).failures
    assert set(statuses(session).values()) == {"done"}


def test_every_local_link_leads_somewhere() -> None:
    links = [
        (folder / target, target)
        for folder, text in ALL.items()
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text)
    ]
    places = [place for place, target in links if "://" not in target]
    assert len(places) > 50
    assert [str(place) for place in places if not place.exists()] == []


def test_every_script_named_with_figures_exists() -> None:
    named = set(re.findall(r"`(\w+\.py)`", ALL[ROOT / "tests" / "benchmarks"]))
    assert {"training.py", "klom.py"} <= named
    assert named <= {path.name for path in (ROOT / "tests" / "benchmarks").glob("*.py")}


def test_your_image_files(folder: Path) -> None:
    make_images(folder / "images", 40)
    (folder / "mypictures.py").write_text(
        re.findall(r"```python\n(.*?)```", ALL[ROOT / "pipeline" / "data"], re.DOTALL)[0]
    )
    dataset = "dataset={name: 'mypictures:Pictures', folder: images, n_train: 30, scaling: {divide_by: 255}}"
    session = open_session("mine.yaml", [*SMALL, dataset, "model={name: cnn, width: 2}"], "store")
    assert (session.examples.n_train, session.examples.input_shape) == (30, (3, 6, 6))
    assert not run_serially(session, until="train").failures


def test_every_room_says_in_its_first_lines_what_it_holds_and_its_rule() -> None:
    rooms = [
        path
        for path in [*(ROOT / "pipeline").iterdir(), ROOT / "jobs", ROOT / "cluster", ROOT / "tests"]
        if path.is_dir()
    ]
    missing = [path.name for path in rooms if path.name != "__pycache__" and path not in ALL]
    assert missing == []
    without = [
        path.name for path in rooms if path in ALL and "Rule:" not in "\n".join(ALL[path].splitlines()[:30])
    ]
    assert without == []


def test_every_file_that_a_room_names_exists() -> None:
    """Files are named in tables `to change or add X → file`, from the room or from the top of the project."""
    missing = []
    for folder, text in ALL.items():
        for name in re.findall(r"`([\w/]+\.(?:py|toml|yaml|json))`", text):
            places = [
                folder / name,
                ROOT / name,
                ROOT / "tests" / "benchmarks" / name,
                *folder.glob(f"**/{name}"),
            ]
            if not any(place.exists() for place in places):
                missing.append(f"{folder.relative_to(ROOT)}: {name}")
    assert missing == []


def test_the_readme_is_read_in_five_minutes() -> None:
    assert len(README.split()) <= 1500
