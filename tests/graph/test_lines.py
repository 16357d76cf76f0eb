"""Lines and designed subsets as nodes.

The table of lines holds what the scouts see, and models of one seed differ only in their masks.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tiny import TINY, run_serially

from jobs.session import Session
from pipeline.data.masks import unpack
from pipeline.data.nested_groups import BALL, Lines, draw_lines
from pipeline.graph.node import Work
from pipeline.graph.nodes.train import read_states
from pipeline.graph.reading.group_lines import columns_of, read_lines
from pipeline.training.ensemble import Builder
from pipeline.training.features import difficulty, joint_features, last_features
from pipeline.training.feeds import Resident

Open = Callable[..., Session]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store in which all tests of this file find the models that the first of them trains."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture
def session(open_tiny: Open, models: Path) -> Session:
    """Return the tiny experiment with its subset models trained."""
    few = {role: {"n_models": 2} for role in ("full", "oracle", "floor", "heldout")}
    changes = {
        "unlearners": {"direct": "dm_direct"},
        "judges": {"klom": {"n_resamples": 20}},
        "populations": {**TINY["populations"], **few, "heldout": None},
    }
    found = open_tiny("store.shard_members=4", store=models, **changes)
    assert not run_serially(found, until="train").failures
    return found


def work_on(session: Session, **inputs: str) -> Work:
    states = session.graph.survey(session.store)
    tables = {name: states[key].table for name, key in inputs.items()}
    return Work(
        start=0,
        stop=1,
        store=session.store,
        inputs=tables,
        examples=session.examples,
        device="cpu",
        kind="looped",
    )


def test_the_table_of_lines_is_what_the_scouts_see(session: Session) -> None:
    examples, work = session.examples, work_on(session, groups="groups", scout="train/scout")
    build = Builder(session.experiment.model, examples.input_shape, examples.n_classes)
    states = read_states(session.store, work.inputs["scout"], 0, 2)
    features, logits = last_features(build(), states, Resident.place(examples).inputs[:60])
    labels = examples.labels[:60]
    expected, found = (
        draw_lines(joint_features(features), labels, difficulty(features, logits, labels), seed=0),
        read_lines(work),
    )
    assert np.array_equal(found.ids, expected.ids)
    assert np.array_equal(found.kinds, expected.kinds)
    assert np.array_equal(found.difficulty, expected.difficulty)


def test_designed_subsets_keep_their_share_and_lose_neighbourhoods(session: Session) -> None:
    table, lines = (
        work_on(session, designed="train/designed", groups="groups"),
        read_lines(work_on(session, groups="groups")),
    )
    masks = unpack(table.read("designed", ["mask"])["mask"], 60)
    assert masks.sum(axis=1).tolist() == [42] * 10
    assert (~masks[:, lines.of(BALL)[:, :4]]).all(axis=2).any(axis=1).mean() >= 0.5


def test_members_of_both_populations_share_a_few_seeds_and_no_masks(session: Session) -> None:
    work = work_on(session, designed="train/designed", subset="train/subset")
    subset, designed = (work.read(name, ["seed", "mask"]) for name in ("subset", "designed"))
    assert np.array_equal(subset["seed"][:10], designed["seed"])
    assert len(np.unique(subset["seed"])) == TINY["populations"]["n_seeds"]
    assert np.array_equal(subset["seed"], np.tile(subset["seed"][:4], 5))
    assert len(np.unique(np.concatenate([subset["mask"], designed["mask"]]), axis=0)) == 30


def test_without_shared_seeds_every_model_has_its_own(open_tiny: Open) -> None:
    session = open_tiny("populations.n_seeds=null")
    run_serially(session, until="train")
    seeds = [
        work_on(session, it=key).read("it", ["seed"])["seed"]
        for key in ("train/subset", "train/designed", "train/scout", "train/full")
    ]
    assert len(np.unique(np.concatenate(seeds))) == sum(map(len, seeds))


def test_lines_survive_their_table() -> None:
    rng = np.random.default_rng(0)
    lines = draw_lines(rng.normal(size=(30, 3)), np.arange(30) % 2, rng.gamma(2.0, size=30), caps_per_class=2)
    columns = columns_of(lines)
    assert {len(values) for values in columns.values()} == {30 + 4 + 1}
    again = Lines(
        ids=columns["ids"].astype(np.int64), kinds=columns["kind"], difficulty=columns["difficulty"][:30]
    )
    assert all(np.array_equal(getattr(again, name), values) for name, values in vars(lines).items())
