"""The output of `dmm convex` on a small study; a second run finds everything done."""

import json
import sys

import pytest

from jobs import cli
from jobs.session import open_session

SMALL = {
    "n_draws": 4,
    "n_tuning_draws": 2,
    "n_points": 20,
    "n_features": 40,
    "n_forget": 2,
    "n_steps": 20,
    "n_long_steps": 400,
    "n_subset_models": 30,
    "examples": "{small: {penalties: [4.0, 100.0]}}",
}
SET = [word for name, value in SMALL.items() for word in ("--set", f"convex.linear.{name}={value}")]
# The rest of the study is told in test_convex_real.py.
SET += ["--set", "convex.data={}", "--set", "convex.guarantees=null"]


def ask(capsys, monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["dmm", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code, capsys.readouterr()


@pytest.fixture
def study(capsys, monkeypatch, tmp_path):
    def run(*words):
        place = ["--store", str(tmp_path / "store"), "--executor", "serial", "--set", "tracking.uri=none"]
        return ask(capsys, monkeypatch, "convex", *SET, *place, *words)

    return run


def test_it_answers_with_r_by_panel_algorithm_and_step(study):
    status, said = study("--json")
    found = json.loads(said.out.splitlines()[-1])
    assert status == 0
    assert sorted(found["R"]) == [
        f"small/{penalty}/{mode}" for penalty in ("100", "4") for mode in ("full", "stochastic")
    ]
    assert found["R"]["small/4/full"]["om"]["1"] < 1
    assert found["worst_deviation_from_theorem_1"] < 1e-10


def test_a_person_sees_a_table_and_where_the_page_is(study, tmp_path):
    status, said = study()
    assert status == 0
    assert "Oracle Matching" in said.out
    page = (tmp_path / "store" / "convex-convex.html").read_text()
    assert "Why GD stalls" in page
    assert page.count("<svg") == 4
    assert "http" not in page.replace("http://www.w3.org", "")


def test_nothing_is_computed_twice(study, tmp_path):
    study()
    before = sorted(
        (path, path.stat().st_mtime_ns) for path in (tmp_path / "store" / "convex").rglob("*.parquet")
    )
    assert len(before) == 3
    study()
    assert before == sorted(
        (path, path.stat().st_mtime_ns) for path in (tmp_path / "store" / "convex").rglob("*.parquet")
    )


def test_an_experiment_without_a_study_is_refused(capsys, monkeypatch, tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "dataset: {name: digits}\nforget_sets: {a: {name: random, n_points: 3}}\nunlearners: {b: {name: "
        "no_op}}\n"
    )
    status, said = ask(
        capsys, monkeypatch, "convex", str(tmp_path / "mine.yaml"), "--store", str(tmp_path / "store")
    )
    assert status == 2
    assert "has no section `convex`" in said.err
    assert "add `convex: {}`" in " ".join(said.err.split())


def test_the_chapter_is_part_of_the_report_s_graph(tmp_path):
    session = open_session(None, [], str(tmp_path / "store"), demonstration="convex")
    assert session.graph.nodes["report"].parents()["convex"].key == "convex/page"
