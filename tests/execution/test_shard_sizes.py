"""Shards take about a minute, whatever a model costs; existing shards of other sizes are used."""

import pytest
from model_folders import KEYS, write_easydub
from tiny import TINY, StoppingExecutor, all_done, run_serially, tables

from pipeline.core import task_progress
from pipeline.data.datasets.digits import Digits
from pipeline.execution import shard_sizes
from pipeline.execution.executor import SerialExecutor
from pipeline.execution.progress import Listener
from pipeline.execution.shard_sizes import ShardSizes
from pipeline.execution.walk import Walk
from pipeline.graph.shard_task import compute_task

# A step sleeps for .01 s and an epoch has six steps, so that a member takes a bit more than .12 s.
SLOW = {
    "model": {"name": "slow_models:SlowModel"},
    "recipe": {"epochs": 2, "batch_size": 10, "learning_rate": 0.1, "ensemble": "looped"},
}
SOME = {"some": {"name": "random", "n_points": 5}}
WIDE = "store.shard_members=100"
TARGET = 0.4


@pytest.fixture
def short_shards(monkeypatch):
    """Let shards take .4 s instead of a minute, so that two of these models are one shard at most."""
    monkeypatch.setattr(shard_sizes, "TARGET_SECONDS", TARGET)
    monkeypatch.setattr(task_progress, "_INTERVAL", 0.05)


def sizes_of(session, key):
    state = session.graph.survey(session.store)[key]
    return [piece.shard.stop - piece.shard.start for piece in state.pieces]


class Watching(Listener):
    """Keeps what is said to be under way of one node."""

    def __init__(self, key):
        self.key, self.seen = key, []

    def changed(self, progress):
        self.seen.append((progress.n_done(self.key), progress.under_way.get(self.key, 0.0)))


@pytest.mark.slow
def test_shards_of_a_slow_model_are_short_and_tell_what_happens_inside_them(open_tiny, short_shards):
    session, watching = open_tiny(WIDE, **SLOW), Watching("train/full")
    progress = run_serially(session, wanted=frozenset({"train/full"}), listeners=[watching])
    assert all_done(progress)
    sizes = sizes_of(session, "train/full")
    assert sum(sizes) == 6
    assert max(sizes) <= 2
    inside = [done + share for done, share in watching.seen if share]
    assert any(share % 1 for _, share in watching.seen)
    assert inside == sorted(inside)
    assert max(inside) <= 6


@pytest.mark.slow
def test_a_kill_loses_one_short_shard_and_the_members_come_out_alike(
    open_tiny, short_shards, tmp_path, monkeypatch
):
    session, whole = open_tiny(WIDE, **SLOW), open_tiny(WIDE, store=tmp_path / "whole", **SLOW)
    with pytest.raises(KeyboardInterrupt):
        Walk(
            session.graph,
            session.store,
            open_executor=lambda: StoppingExecutor(session, 2),
            wanted=frozenset({"train/full"}),
        ).run()
    before = sizes_of(session, "train/full")
    assert len(before) == 2
    assert all_done(run_serially(session, wanted=frozenset({"train/full"})))
    monkeypatch.setattr(shard_sizes, "TARGET_SECONDS", 1e9)
    run_serially(whole, wanted=frozenset({"train/full"}))
    assert sizes_of(whole, "train/full") == [6]
    logits = [
        one.store.read(one.graph.survey(one.store)["train/full"].table, ["logits_00000"])["logits_00000"]
        for one in (session, whole)
    ]
    assert (logits[0] == logits[1]).all()


def test_fast_models_keep_the_size_that_was_set(open_tiny):
    session = open_tiny("store.shard_members=4")
    run_serially(session, wanted=frozenset({"train/subset"}))
    assert sizes_of(session, "train/subset") == [4, 4, 4, 4, 4]


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0.5, 100), (0.61, 64), (1.0, 32), (24.0, 2), (59.0, 1), (1000.0, 1)]
)
def test_sizes_follow_the_seconds_of_a_member(open_tiny, seconds, expected):
    session = open_tiny("store.shard_members=100")
    node, sizes = session.graph.nodes["train/subset"], ShardSizes(session.graph, session.store)
    sizes.took(node, 10, 10 * seconds)
    assert sizes.most_units(node, {}) == expected
    # All populations of a recipe cost alike; of unlearning that nobody measured, training is the bound.
    assert sizes.most_units(session.graph.nodes["train/full"], {}) == expected
    assert sizes.most_units(session.graph.nodes["unlearn/dmm/some"], {}) == expected
    sizes.took(session.graph.nodes["unlearn/dmm/some"], 1, 30.0)
    assert sizes.most_units(session.graph.nodes["unlearn/dmm/some"], {}) == 2
    assert sizes.most_units(node, {}) == expected


def test_unlearning_from_a_source_begins_with_one_unit_until_its_seconds_are_known(open_tiny, tmp_path):
    """Nothing was trained here, and evaluating models says nothing of what unlearning them takes."""
    digits = {"name": "digits", "n_train": 120}
    write_easydub(
        tmp_path / "dub",
        Digits(n_train=120).load(),
        {2: (40, 7, 103, 9)},
        numbers=range(4),
        kinds=("states",),
        dataset="digits",
    )
    source = {
        "name": "easydub",
        "folder": str(tmp_path / "dub"),
        "dataset": "digits",
        "model": "small",
        "epoch": 3,
        "keys": KEYS,
    }
    full = TINY["populations"] | {"full": {"source": source}}
    session = open_tiny(
        "store.shard_members=100",
        dataset=digits,
        populations=full,
        unlearners={"ascent": "gradient_ascent"},
        forget_sets=SOME,
    )
    evaluated, node = session.graph.nodes["train/full"], session.graph.nodes["unlearn/ascent/some"]
    sizes = ShardSizes(session.graph, session.store)
    assert [sizes.most_units(one, {}) for one in (evaluated, node)] == [1, 1]
    sizes.took(evaluated, 1, 0.01)
    assert [sizes.most_units(one, {}) for one in (evaluated, node)] == [100, 1]
    for seconds, expected in ((30.0, 2), (0.01, 100)):
        sizes.took(node, 1, seconds)
        assert sizes.most_units(node, {}) == expected


class Wide(SerialExecutor):
    """Takes three tasks before it computes the first."""

    def __init__(self, session):
        super().__init__(lambda task, device: compute_task(task, session.examples, device))
        self.taken = []

    def has_room(self):
        return len(self.taken) < 3

    def submit(self, task, need):
        self.taken.append((task, need))

    def wait(self, seconds):
        super().submit(*self.taken.pop(0))
        return super().wait(seconds)

    @property
    def n_running(self):
        return len(self.taken)


def test_no_more_shards_are_cut_in_advance_than_the_executor_takes(open_tiny, monkeypatch):
    """The rest of a task is cut when its turn comes, with the seconds of a unit known by then."""
    session, known = open_tiny("store.shard_members=20"), []
    monkeypatch.setattr(ShardSizes, "took", lambda *_: known.append(True))
    monkeypatch.setattr(ShardSizes, "most_units", lambda *_: 20 if known else 1)
    wanted = frozenset({"train/subset"})
    assert all_done(
        Walk(session.graph, session.store, open_executor=lambda: Wide(session), wanted=wanted).run()
    )
    assert sizes_of(session, "train/subset") == [1, 1, 1, 17]


def test_seconds_that_the_store_knows_are_used_by_the_next_run(open_tiny, finished, monkeypatch):
    session = open_tiny("store.shard_members=100")
    states = session.graph.survey(session.store)
    monkeypatch.setattr(type(session.store), "side", lambda *_: {"seconds": 150.0})
    sizes = ShardSizes(session.graph, session.store)
    assert sizes.most_units(session.graph.nodes["train/subset"], states) == 2


def test_shards_without_seconds_are_looked_at_once_in_a_survey(open_tiny, monkeypatch):
    session, looked = open_tiny(), []
    monkeypatch.setattr(ShardSizes, "_recorded", lambda *about: looked.append(about))
    monkeypatch.setattr(shard_sizes, "estimated_seconds", lambda *_: None)
    sizes, first, second = ShardSizes(session.graph, session.store), {}, {}
    for states in (first, first, first, second, second):
        sizes.most_units(session.graph.nodes["train/subset"], states)
    assert len(looked) == 2


def test_a_model_that_cannot_be_timed_keeps_the_size_that_was_set(open_tiny, monkeypatch):
    session = open_tiny("store.shard_members=100")
    monkeypatch.setattr("pipeline.execution.shard_sizes.estimated_seconds", lambda *_: None)
    sizes = ShardSizes(session.graph, session.store)
    assert sizes.most_units(session.graph.nodes["train/subset"], {}) == 100


def test_shards_of_other_sizes_that_exist_are_used_as_they_are(open_tiny, monkeypatch):
    session = open_tiny("store.shard_members=4")
    with pytest.raises(KeyboardInterrupt):
        Walk(
            session.graph,
            session.store,
            open_executor=lambda: StoppingExecutor(session, 2),
            wanted=frozenset({"train/subset"}),
        ).run()
    first = tables(session.store.folder)
    monkeypatch.setattr("pipeline.execution.shard_sizes.estimated_seconds", lambda *_: 40.0)
    monkeypatch.setattr(ShardSizes, "took", lambda *_: None)
    monkeypatch.setattr(ShardSizes, "_recorded", lambda *_: None)
    run_serially(session, wanted=frozenset({"train/subset"}))
    assert first <= tables(session.store.folder)
    assert sorted(sizes_of(session, "train/subset")) == [1] * 12 + [4, 4]


def test_a_lost_shard_is_made_again_whole_whatever_it_costs(open_tiny, finished, monkeypatch):
    """What read it stays valid, since its name is the same."""
    session = open_tiny()
    before = tables(finished)
    state = session.graph.survey(session.store)["train/subset"]
    session.store.quarantine(f"{state.table.folder}/{state.pieces[0].shard}")
    monkeypatch.setattr(ShardSizes, "most_units", lambda *_: 1)
    assert all_done(run_serially(session))
    assert tables(finished) == before


def test_a_shard_that_is_tried_again_after_a_crash_is_cut_no_further_than_it_must(open_tiny, monkeypatch):
    """Cutting by time counts every part, so that the run ends with all of them."""
    session = open_tiny("store.shard_members=20")
    monkeypatch.setattr(ShardSizes, "most_units", lambda *_: 8)
    progress = run_serially(session, wanted=frozenset({"train/subset"}))
    assert all_done(progress)
    assert sizes_of(session, "train/subset") == [8, 8, 4]
