"""Snapshots, from the table of unlearned models to the output for users.

One run gives a whole curve, and its end is the result.
"""

import json
from typing import ClassVar

import numpy as np
import pytest
from tiny import StoppingExecutor, all_done, open_at, run_serially, statuses, tables

from jobs.running.planning import planned_work
from pipeline.evaluation.judges.base import Judge
from pipeline.evaluation.judges.scores import Score, Scores
from pipeline.execution.walk import Walk
from pipeline.graph.costs import spending_of
from pipeline.graph.nodes.evaluate import VerdictNode, read_judged
from pipeline.graph.nodes.train import CHECKPOINT, read_states
from pipeline.graph.nodes.unlearn import AFTER, snapshot_checkpoint
from pipeline.graph.reading.kept_states import read_kept
from pipeline.graph.reading.snapshot_outputs import snapshots_of
from pipeline.store.rows import Rows
from pipeline.store.store import Shard
from pipeline.tracking.result_pages import result_rows, verdict_results
from pipeline.training.ensemble import Builder, compute_logits
from pipeline.training.feeds import Resident

ASCENT = {"name": "gradient_ascent", "epochs": 3, "batch_size": 2, "learning_rate": 0.01}
PLAIN = {"nothing": "no_op", "ascent": ASCENT}
SHOWN = PLAIN | {"ascent": ASCENT | {"snapshots": {}}}
SOME = {"some": {"name": "random", "n_points": 5}}
JUDGES = {"klom": {"n_resamples": 20}, "accuracy": {}}
KEY, VERDICT = "unlearn/ascent/some", "evaluate/klom/ascent/some"


def small(place, unlearners, **changes):
    return open_at(place, unlearners=unlearners, forget_sets=SOME, **{"judges": JUDGES} | changes)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("snapshots")


@pytest.fixture(scope="module")
def plain(store):
    session = small(store, PLAIN)
    return session, run_serially(session, until="evaluate").states


@pytest.fixture(scope="module")
def shown(store, plain):
    session = small(store, SHOWN)
    progress = run_serially(session, until="evaluate")
    assert all_done(progress)
    return session, progress.states


def rows_of(run, columns=None) -> Rows:
    session, states = run
    return session.store.read_rows(states[KEY].table, columns)


def test_turning_snapshots_on_is_another_question_and_off_the_old_one(store, plain, shown):
    asked = small(store, PLAIN | {"ascent": ASCENT | {"snapshots": {"every": 2}}})
    missing = {key for key, status in statuses(asked).items() if status != "done"}
    assert missing == {KEY, VERDICT, "evaluate/accuracy/ascent/some", "report"}
    assert {key for key, status in statuses(plain[0]).items() if status != "done"} == {"report"}


def test_whoever_reads_the_table_gets_the_answer_without_snapshots_bit_for_bit(plain, shown):
    one, other = (session.store.read(states[KEY].table) for session, states in (plain, shown))
    assert one.keys() | {AFTER} == other.keys()
    for name, values in one.items():
        assert (values.dtype, values.shape, values.tobytes()) == (
            other[name].dtype,
            other[name].shape,
            other[name].tobytes(),
        )
    saved = [
        session.store.read_blob(states[KEY].folder, states[KEY].pieces[0].shard, CHECKPOINT)
        for session, states in (plain, shown)
    ]
    assert saved[0] == saved[1]


def test_members_have_a_row_for_each_snapshot_with_its_cost(shown):
    rows = rows_of(shown, ["member", AFTER, "samples"])
    assert rows.counts.tolist() == [3] * 6
    assert rows.columns["member"].tolist() == np.repeat(np.arange(6), 3).tolist()
    assert (rows.columns[AFTER][:3].tolist(), rows.columns["samples"][:3].tolist()) == (
        [1, 2, 3],
        [5, 10, 15],
    )


def test_saved_members_have_a_checkpoint_of_each_snapshot(shown):
    session, states = shown
    table, examples = states[KEY].table, session.examples
    logits = session.store.read_rows(table.part(0, 1)).columns["logits_00000"]
    template = Builder(session.experiment.model, examples.input_shape, examples.n_classes)()
    for number, ending in enumerate([snapshot_checkpoint(0), snapshot_checkpoint(1), CHECKPOINT]):
        saved = read_states(session.store, table, 0, 1, ending=ending)
        found = compute_logits(template, saved, Resident.place(examples).inputs, kind="stacked")
        assert np.array_equal(found[0, :30], logits[number])


def test_tables_do_not_depend_on_the_size_of_shards(shown, tmp_path):
    session = small(tmp_path, SHOWN, store={"shard_members": 2, "layout": {"block_points": 30}})
    found = rows_of((session, run_serially(session, until="unlearn").states))
    expected = rows_of(shown)
    assert found.counts.tolist() == expected.counts.tolist()
    for name, values in expected.columns.items():
        assert values.tobytes() == found.columns[name].tobytes()


class StopsInside(StoppingExecutor):
    """Is interrupted after some shards of the unlearned models."""

    def submit(self, task, need) -> None:
        self._left += task.node.key != KEY
        super().submit(task, need)


def test_a_run_that_is_stopped_between_shards_ends_with_the_same_tables(shown, tmp_path):
    session = small(tmp_path, SHOWN, store={"shard_members": 2, "layout": {"block_points": 30}})
    whole = small(tmp_path / "whole", SHOWN, store={"shard_members": 2, "layout": {"block_points": 30}})
    with pytest.raises(KeyboardInterrupt):
        Walk(
            session.graph, session.store, until="unlearn", open_executor=lambda: StopsInside(session, 1)
        ).run()
    assert 0 < session.graph.survey(session.store)[KEY].n_done < 6
    assert all_done(run_serially(session, until="unlearn"))
    assert all_done(run_serially(whole, until="unlearn"))
    assert {name for name in tables(tmp_path) if not name.startswith("whole")} == tables(tmp_path / "whole")


def test_a_damaged_shard_is_named_and_made_again_under_its_name(shown, tmp_path):
    session = small(tmp_path, SHOWN)
    state = run_serially(session, until="unlearn").states[KEY]
    path = tmp_path / state.folder / str(state.pieces[0].shard)
    content = path.read_bytes()
    path.write_bytes(content[:-100])
    (problem,) = [problem for problem in session.store.check(state.folder) if problem.range is not None]
    session.store.quarantine(problem.path)
    assert all_done(run_serially(session, until="unlearn"))
    assert path.read_bytes() == content
    assert session.store.check(state.folder) == []


def judged(run, key=VERDICT):
    session, states = run
    return read_judged(session.store, states[key].table)


def test_the_judge_says_of_the_last_snapshot_what_it_says_without_snapshots(plain, shown):
    for key in (VERDICT, "evaluate/accuracy/ascent/some"):
        one, other = judged(plain, key), judged(shown, key)
        assert one.scores.to_json() == other.scores.to_json() == other.snapshots[-1].scores.to_json()
        assert one.samples == other.samples == other.snapshots[-1].samples
        assert one.snapshots == ()
        points = [session.store.read(states[key].table) for session, states in (plain, shown)]
        assert all(values.tobytes() == points[1][name].tobytes() for name, values in points[0].items())


@pytest.mark.parametrize("epochs", [1, 2])
def test_a_snapshot_is_judged_as_a_run_of_so_many_epochs_is(store, shown, epochs):
    session = small(store, PLAIN | {"ascent": ASCENT | {"epochs": epochs}})
    short = judged((session, run_serially(session, until="evaluate").states))
    snapshot = judged(shown).snapshots[epochs - 1]
    assert (snapshot.after, snapshot.samples) == (epochs, short.samples)
    assert snapshot.scores.to_json() == short.scores.to_json()


def test_results_give_snapshots_under_one_key_and_are_otherwise_as_without(plain, shown):
    one, other = (result_rows(session.graph, session.store, states)[1] for session, states in (plain, shown))
    json.dumps(other)
    assert {**other, "snapshots": []} == one
    assert [(row["after"], row["unit"], row["cost"]["samples"]) for row in other["snapshots"]] == [
        (1, "epoch", 5.0),
        (2, "epoch", 10.0),
        (3, "epoch", 15.0),
    ]
    assert other["snapshots"][-1]["cost"] == other["cost"]
    assert other["snapshots"][-1]["scores"] == other["scores"]
    assert [row["forget"] for row in other["snapshots"]] == [
        one.scores.rows[0].value for one in judged(shown).snapshots
    ]


def test_mlflow_is_given_every_score_by_what_it_cost(plain, shown):
    found = []
    for session, states in (plain, shown):
        verdict = next(
            node
            for node in session.graph.nodes.values()
            if isinstance(node, VerdictNode) and node.key == VERDICT
        )
        found.append(verdict_results(session.graph, session.store, "1", verdict, states))
    (one, other), spending = found, spending_of(shown[0].experiment, shown[0].examples)
    assert one.curves == {}
    assert one.metrics == other.metrics
    curve = other.curves["snapshots/p95_klom_forget"]
    assert list(curve) == [5, 10, 15]
    assert curve[15] == other.metrics["p95_klom_forget"]
    assert other.curves["snapshots/cost_fraction"] == {
        samples: spending.fraction(float(samples)) for samples in (5, 10, 15)
    }
    assert [row["after"] for row in other.tables["snapshots"]] == [1, 2, 3]
    assert "snapshots" not in one.tables


class Norms(Judge):
    """The mean norm of the weights, which a judge finds in the states of every snapshot."""

    name: ClassVar[str] = "norms"
    needs: ClassVar[frozenset[str]] = frozenset({"states", "logits"})

    def judge(self, found):
        norm = np.mean([np.sqrt((values**2).sum()) for values in found.unlearned.states().values()])
        drift = np.mean([np.abs(logits).mean() for _, logits in found.unlearned.blocks()])
        rows = [
            Score(statistic=name, split="forget", value=float(value))
            for name, value in (("norm", norm), ("drift", drift))
        ]
        return Scores(rows=tuple(rows))


def test_a_judge_of_states_from_outside_sees_those_of_each_snapshot(tmp_path):
    session = small(tmp_path, SHOWN, judges={"norms": f"{__name__}:Norms"})
    progress = run_serially(session, until="evaluate")
    assert all_done(progress)
    found = read_judged(session.store, progress.states["evaluate/norms/ascent/some"].table)
    table = progress.states[KEY].table
    for number in range(3):
        states = read_kept(session.store, table, 0, 6, snapshot=number)
        norm = np.mean([np.sqrt((values.numpy() ** 2).sum()) for values in states.values()])
        assert found.snapshots[number].scores.rows[0].value == pytest.approx(float(norm))


@pytest.mark.parametrize("most_kept", [0, 1 << 30])
def test_snapshots_are_the_same_whether_blocks_are_kept_or_read_again(shown, monkeypatch, most_kept):
    session, states = shown
    monkeypatch.setattr("pipeline.graph.reading.snapshot_outputs._MOST_KEPT", most_kept)
    layout, labels = session.experiment.store.layout, session.examples.labels
    rows = session.store.read_rows(states[KEY].table)
    logits = np.concatenate(
        [rows.columns[name] for name in sorted(rows.columns) if name.startswith("logits")], axis=1
    )
    for number, snapshot in enumerate(snapshots_of(session.store, states[KEY].table, layout, labels)):
        for _ in range(2):
            assert np.array_equal(snapshot.logits(), logits[number::3])
        chosen = np.array([70, 3, 31])
        assert snapshot.margins().shape == (6, 80)
        assert np.array_equal(snapshot.margins(chosen), snapshot.margins()[:, chosen])


def test_a_table_without_snapshots_has_none(plain):
    session, states = plain
    found = [states[key].table for key in (KEY, "unlearn/nothing/some", "train/full")]
    layout, labels = session.experiment.store.layout, session.examples.labels
    assert [snapshots_of(session.store, table, layout, labels) for table in found] == [[], [], []]


def test_members_may_stop_at_different_times(shown, tmp_path):
    """A shard of an unlearner from outside may hold fewer snapshots: its models stay at their last."""
    session, states = shown
    table, store = states[KEY].table, session.store
    whole = store.read_rows(table)
    kept = np.concatenate([np.arange(3 * member, 3 * member + 3 - (member > 3)) for member in range(6)])
    columns = {name: values[kept] for name, values in whole.columns.items()}
    piece = table.pieces[0].shard
    content = Shard(columns=columns, rows_per_unit=[3, 3, 3, 3, 2, 2])
    store.write_shard("unlearn/odd-1/2", piece.unit, 0, 6, content, side={})
    layout, labels = session.experiment.store.layout, session.examples.labels
    found = snapshots_of(store, store.table("unlearn/odd-1/2", 6), layout, labels)
    assert [snapshot.samples for snapshot in found] == [5.0, 10.0, pytest.approx((4 * 15 + 2 * 10) / 6)]
    assert np.array_equal(found[2].margins()[4:], found[1].margins()[4:])


def test_a_judge_that_trains_models_further_judges_the_result_alone_and_plan_says_so(tmp_path):
    session = small(tmp_path, SHOWN, judges={"relearn": "outside_judges:Relearning"})
    progress = run_serially(session, until="evaluate")
    assert all_done(progress)
    assert read_judged(session.store, progress.states["evaluate/relearn/ascent/some"].table).snapshots == ()
    assert result_rows(session.graph, session.store, progress.states)[1]["snapshots"] == []
    (notice,) = planned_work(session)["notices"]
    assert notice.startswith("judge 'relearn' judges the result of 'ascent' alone and not its snapshots")
