"""A study from outside the package works like a built-in one.

No shared file names it, and every view shows it.
"""

import json
from collections.abc import Callable

import pytest
import typer
import yaml
from counting_study import Counting
from terminal import Dmm, answer, serial
from tiny import TINY, open_at, run_serially, statuses
from typer.testing import CliRunner

from jobs.commands.study_commands import command_of
from jobs.running.planning import planned_work
from jobs.running.run_scope import scope_of
from jobs.session import Session
from pipeline import config
from pipeline.core.errors import ConfigError
from pipeline.graph.nodes.report import PAGE, ReportPage
from pipeline.tracking.pages import Pages

Open = Callable[..., Session]
GUEST = {"mine": {"name": "counting_study:Counting", "limit": 5}}
KEYS = {"studies/mine/count", "studies/mine/page"}


def test_plan_lists_its_tables_and_its_entry_computes_them(open_tiny: Open) -> None:
    session = open_tiny(studies=GUEST)
    assert {row["node"] for row in planned_work(session)["nodes"]} >= KEYS
    assert scope_of("studies", session, allow_missing=False).wanted == KEYS


@pytest.mark.usefixtures("finished")
def test_a_run_computes_it_and_answers_with_its_results(dmm: Dmm) -> None:
    status, out, err = dmm(*serial("run", "--set", f"studies={json.dumps(GUEST)}"))
    assert status == 0, err
    assert answer(out)["studies"]["mine"]["studies/mine/count"] == {"sum": 10}


@pytest.mark.usefixtures("finished")
def test_report_and_mlflow_show_it(open_tiny: Open) -> None:
    session = open_tiny(studies=GUEST)
    run_serially(session, draws=True)
    states = session.graph.survey(session.store)
    state = states[session.graph.get(ReportPage).key]
    html = session.store.read_blob(state.table.folder, state.pieces[0].shard, PAGE).decode()
    assert '<a href="#study-mine">Counting</a>' in html
    assert "<p>In all 10.</p>" in html
    pages = Pages(session.graph, session.store)
    shown = pages.results("mine", states)
    assert pages.titles["mine"] == "5 counting study"
    assert shown.metrics == {"sum/studies/mine/count": 10.0}
    assert "mine.html" in shown.files
    assert shown.note.startswith("**How far one can count.**")


def test_its_tables_are_done_again_where_its_settings_change(open_tiny: Open) -> None:
    session = open_tiny(studies=GUEST)
    run_serially(session, wanted=frozenset(KEYS))
    assert {statuses(session)[key] for key in KEYS} == {"done"}
    assert (
        statuses(open_tiny(studies={"mine": GUEST["mine"] | {"limit": 6}}))["studies/mine/count"] == "missing"
    )


def test_a_study_has_a_command_of_its_name(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    tree = TINY | {"studies": {"counting": "counting_study:Counting"}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(tree, sort_keys=False))
    app = typer.Typer()
    app.command()(command_of(Counting))
    result = CliRunner().invoke(app, ["mine.yaml", "--store", "store", "--executor", "serial", "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout.splitlines()[-1])
    assert found["studies/counting/count"] == {"sum": 6}
    assert (tmp_path / "store" / "counting-tiny.html").read_text() == "<h2>Counting</h2><p>In all 6.</p>"


@pytest.mark.parametrize(
    ("studies", "message"),
    [
        ({"train": "counting_study:Counting"}, "studies.train: this label is reserved"),
        ({"convex": "counting_study:Counting"}, "studies.convex: this label is reserved"),
        ({"mine": "counting_study:Twice"}, "two tables of this experiment are called 'studies/mine/count'"),
        ({"mine": "counting_study:Alone"}, "nodes\\(\\) yielded 'count'; expected a StudyNode"),
        ({"mine": "conwex"}, "unknown study 'conwex'; known: convex. Did you mean 'convex'"),
        ({"mine": {"name": "counting_study:Counting", "limit": 0}}, "limit"),
    ],
)
def test_a_study_that_cannot_be_is_refused(tmp_path, studies, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        open_at(tmp_path, studies=studies)


def test_the_key_of_a_study_that_the_package_knows_reads_and_prints_alike() -> None:
    tree = TINY | {"convex": {"data": {}, "guarantees": None}, "studies": GUEST}
    experiment = config.build(tree)
    printed = yaml.safe_load(experiment.to_yaml())
    assert printed["convex"]["data"] == {}
    assert config.build(printed) == experiment
    assert experiment.identity()["convex"] == {"data": {}, "guarantees": None}
    assert set(experiment.all_studies()) == {"convex", "mine"}
    assert "convex" not in config.build(TINY).identity()
