"""An unlearner from outside the package, with a teacher and alternating objectives, works like any other."""

import dataclasses
import json

import numpy as np
import pytest
from scrub_like import ScrubLike
from test_unlearners import BUILD, DATA, FORGET, RETAIN, equal, trained
from tiny import StoppingExecutor, all_done, run_serially, tables

from jobs.running.planning import planned_work
from pipeline.core.registry import describe
from pipeline.execution.selected_nodes import with_dependencies
from pipeline.execution.walk import Walk
from pipeline.training.ensemble import compute_logits, take
from pipeline.training.loop import run_phases
from pipeline.unlearning import UNLEARNERS
from pipeline.unlearning.unlearner import Request

UNLEARNER = {"name": "scrub_like:ScrubLike", "epochs": 5, "ascents": 4, "learning_rate": 0.1}
SETTINGS = {
    "unlearners": {"scrub": UNLEARNER, "nothing": "no_op"},
    "forget_sets": {"some": {"name": "random", "n_points": 5}},
}
KEY = "unlearn/scrub/some"


@pytest.fixture(scope="module")
def asked():
    states = trained([0, 1, 2])
    logits = compute_logits(BUILD(), states, DATA, kind="stacked")
    about = {"data": DATA, "forget": FORGET, "retain": RETAIN, "seeds": [7, 8, 9]}
    return Request(template=BUILD(), states=states, logits=logits, kind="stacked", **about)


def test_stacked_equals_looped_and_grouping_moves_no_bit(asked):
    plugin = UNLEARNERS.build(UNLEARNER)
    stacked, looped = (
        plugin.unlearn(dataclasses.replace(asked, kind=kind)) for kind in ("stacked", "looped")
    )
    assert np.abs(stacked.logits - looped.logits).max() < 1e-3
    alone = plugin.unlearn(
        dataclasses.replace(asked, states=take(asked.states, 1, 2), logits=asked.logits[1:2], seeds=[8])
    )
    assert equal(take(stacked.states, 1, 2), alone.states)
    assert stacked.n_samples == 4 * len(FORGET) + 5 * len(RETAIN)


def test_the_student_leaves_its_teacher_on_the_forget_set_and_stays_elsewhere(asked):
    moved = np.abs(UNLEARNERS.build(UNLEARNER).unlearn(asked).logits - asked.logits).mean(axis=(0, 2))
    assert moved[FORGET].mean() > 2 * moved[RETAIN].mean() > 0


def test_the_optimiser_outlives_the_phases(asked):
    """With a fresh one for each phase its momentum is lost at every alternation, and models end elsewhere."""
    phases = UNLEARNERS.build(UNLEARNER).phases(asked)
    apart = [dataclasses.replace(phase, track=None) for phase in phases]
    one, other = (
        run_phases(asked.template, asked.states, chosen, DATA, seeds=asked.seeds, kind="stacked")
        for chosen in (phases, apart)
    )
    assert not equal(one, other)


def test_targets_are_shared_by_all_phases_and_not_copied(asked):
    assert all(phase.targets is asked.logits for phase in ScrubLike().phases(asked))


@pytest.mark.slow
def test_it_is_planned_run_resumed_and_shown(open_tiny, tmp_path):
    session, whole = open_tiny(**SETTINGS), open_tiny(store=tmp_path / "whole", **SETTINGS)
    assert any(KEY in row.values() for row in planned_work(session)["nodes"])
    wanted = with_dependencies(session.graph, [KEY])
    with pytest.raises(KeyboardInterrupt):
        Walk(
            session.graph, session.store, open_executor=lambda: StoppingExecutor(session, 4), wanted=wanted
        ).run()
    assert session.graph.survey(session.store)[KEY].status == "partial"
    assert all_done(run_serially(session, draws=True))
    assert all_done(run_serially(whole, draws=True))
    assert tables(session.store.folder) == tables(whole.store.folder)
    described = session.store.folder / session.graph.survey(session.store)[KEY].folder / "node.json"
    assert json.loads(described.read_text())["settings"]["unlearner"]["name"] == "scrub_like:ScrubLike"
    report = session.graph.survey(session.store)["report"]
    page = session.store.read_blob(report.folder, report.pieces[0].shard, "html").decode()
    assert "scrub" in page
    assert describe(session.experiment.unlearners["scrub"])["temperature"] == 4.0
