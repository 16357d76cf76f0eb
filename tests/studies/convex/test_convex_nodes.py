"""A node of the convex study is computed again if its own data changes, and only then."""

import numpy as np
import pytest
from tiny import open_at, statuses

from jobs.session import Session
from pipeline.data.datasets.npz import KEYS
from pipeline.store.store import Shard

LINEAR = {
    "n_draws": 2,
    "n_points": 12,
    "n_features": 20,
    "n_forget": 2,
    "n_steps": 10,
    "n_long_steps": 100,
    "n_subset_models": 10,
}


def save(path, shift: float) -> None:
    labels = np.arange(12) % 2
    arrays = [np.eye(2, dtype=np.float32)[labels] + shift, labels] * 2
    np.savez(path, **dict(zip(KEYS, arrays, strict=True)))


@pytest.fixture
def open_study(tmp_path):
    save(tmp_path / "mine.npz", 0.0)
    mine = {"name": "npz", "path": str(tmp_path / "mine.npz")}
    guarantees = {"dataset": {"name": "digits", "n_train": 50}}
    study = {"data": {"mine": {"dataset": mine}}, "guarantees": guarantees, "linear": LINEAR}
    return lambda **changes: open_at(tmp_path / "store", convex=study, **changes)


def finish(session: Session) -> None:
    """Write a shard for every node of the study but the page."""
    for state in session.graph.survey(session.store).values():
        if state.node.key.startswith("convex/") and state.folder is not None:
            session.store.write_shard(
                state.folder, "rows", 0, 1, Shard(columns={"row": np.arange(1)}), side={}
            )


def unfinished(session: Session) -> set[str]:
    return {
        key for key, status in statuses(session).items() if key.startswith("convex/") and status != "done"
    }


def test_a_data_set_that_changes_in_place_makes_its_own_node_stale(open_study, tmp_path) -> None:
    session = open_study()
    finish(session)
    save(tmp_path / "mine.npz", 1.0)
    assert unfinished(session) == {"convex/data/mine", "convex/page"}
    assert statuses(session)["convex/data/mine"] == "stale"


def test_a_data_set_of_the_study_that_changes_makes_another_experiment(open_study, tmp_path) -> None:
    before = open_study().graph.digest
    save(tmp_path / "mine.npz", 1.0)
    assert open_study().graph.digest != before


def test_what_reads_other_data_stays_done_when_the_data_of_the_experiment_change(open_study) -> None:
    finish(open_study())
    other = open_study(dataset={"name": "planted", "n_train": 61, "label_noise": {"n_points": 4}})
    assert unfinished(other) == {"convex/page"}
    finish(other)
    assert unfinished(open_study()) == set()
