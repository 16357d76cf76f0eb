"""`dmm plan` on a store of an earlier release.

It names the models that were trained for the same experiment and does not reuse them.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from tiny import open_at, run_serially

from jobs.running.planning import planned_work
from jobs.session import Session


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store whose populations have the folders and descriptions of an earlier release."""
    root = tmp_path_factory.mktemp("older") / "store"
    session = open_at(root)
    run_serially(session)
    for home in sorted((root / "train").iterdir()):
        (folder,) = home.iterdir()
        about = json.loads((folder / "node.json").read_text())
        node = next(
            node
            for node in session.graph.nodes.values()
            if getattr(node, "role", None) == about["settings"]["role"]
        )
        del about["identity"]
        about["settings"] |= {
            "dataset": {"name": "planted", **node.dataset.model_dump(mode="json")},
            "model": {"name": "mlp", **node.model.model_dump(mode="json")},
            "recipe": node.recipe.model_dump(mode="json"),
        }
        (folder / "node.json").write_text(json.dumps(about))
        home.rename(home.with_name(home.name[:-4] + "0000"))
    return root


def notices(session: Session) -> str:
    return " ".join(planned_work(session)["notices"])


def test_models_of_an_older_identity_are_counted(store: Path) -> None:
    # 20 subset, 10 designed, 2 scout, 6 held-out and 6 full models, and 6 oracles and 6 of the floor for two
    # sets.
    assert "older identity: 68 models are not reused" in notices(open_at(store))


@pytest.mark.parametrize("override", ["model.width=9", "recipe.optimizer=adam", "dataset.n_train=61"])
def test_models_of_another_experiment_are_not(store: Path, override: str) -> None:
    assert "older identity" not in notices(open_at(store, override))


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"settings": 3}', '{"settings": {"role": "full", "recipe": []}}']
)
def test_a_damaged_description_counts_for_nothing(store: Path, content: str) -> None:
    (home,) = (store / "train").glob("full-*")
    (folder,) = home.iterdir()
    kept: Any = (folder / "node.json").read_text()
    (folder / "node.json").write_text(content)
    assert "older identity: 62 models" in notices(open_at(store))
    (folder / "node.json").write_text(kept)


def test_models_of_this_release_are_reused_and_not_named(tmp_path: Path) -> None:
    session = open_at(tmp_path)
    run_serially(session)
    assert "older identity" not in notices(open_at(tmp_path, "populations.full.n_models=7"))
