"""A judge from outside the package is planned, run, resumed and shown; adding one computes nothing else."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import mlflow.artifacts
import outside_judges
import pytest
from mlflow import MlflowClient
from rich.console import Console
from tiny import TINY, StoppingExecutor, all_done, open_at, run_serially, statuses, tables

from jobs.answers.comparison import compare_experiments
from jobs.commands.compare import show_comparison
from jobs.commands.run import show_run
from jobs.running.experiment_run import RunResult, run_experiment
from jobs.running.planning import planned_work
from jobs.session import Session
from pipeline.core.errors import ConfigError
from pipeline.evaluation.judges.scores import Scores
from pipeline.execution.executor import SerialExecutor
from pipeline.execution.walk import Walk
from pipeline.graph.shard_task import Task, compute_task
from pipeline.tracking.result_pages import result_rows

MINE = {"name": "outside_judges:Closeness", "scale": 2.0}
ADDED = {"ulira": {"n_resamples": 20}, "mine": MINE}
WITH_MINE = TINY["judges"] | ADDED
METHODS = ("floor", *TINY["unlearners"])
NEW = {
    f"evaluate/{judge}/{method}/{label}"
    for judge in ADDED
    for method in METHODS
    for label in TINY["forget_sets"]
}
FEW = {
    "forget_sets": {"some": TINY["forget_sets"]["some"]},
    "unlearners": {"nothing": "no_op", "ascent": {"name": "gradient_ascent", "epochs": 1}},
}


@pytest.fixture(scope="module")
def session(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Session:
    """The whole run, judged by one judge more."""
    store = Path(shutil.copytree(whole, tmp_path_factory.mktemp("judged") / "store"))
    return open_at(store, judges=WITH_MINE, tracking={})


@pytest.fixture(scope="module")
def shown(session: Session) -> RunResult:
    """What a run comes to that is interrupted after three verdicts, resumed, and shown in MLflow."""
    walk = Walk(session.graph, session.store, open_executor=lambda: StoppingExecutor(session, 3))
    with pytest.raises(KeyboardInterrupt):
        walk.run()
    made = {key for key, status in statuses(session).items() if status == "done"} & NEW
    assert len(made) == 3
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        return run_experiment(session, Console(quiet=True), executor="serial")


def test_adding_a_judge_plans_its_own_tables_and_the_report(whole: Path) -> None:
    planned = planned_work(open_at(whole, judges=WITH_MINE))
    assert {row["node"] for row in planned["nodes"] if row["status"] != "done"} == NEW | {"report"}
    assert planned["retrainings"] == 0


def test_judges_are_no_part_of_what_an_experiment_is(whole: Path) -> None:
    one, other = open_at(whole), open_at(whole, judges=WITH_MINE)
    assert one.graph.digest == other.graph.digest
    assert one.experiment.judges != other.experiment.judges


def test_an_interrupted_judge_is_resumed_and_nothing_else_is_made_again(
    session: Session, shown: RunResult, whole: Path
) -> None:
    assert shown.succeeded
    assert shown.n_models_made == 0
    made = {path.split("/")[0] for path in tables(session.store.uri) - tables(whole)}
    assert made == {"evaluate", "report"}


def test_its_scores_stand_in_every_row_of_the_results(shown: RunResult) -> None:
    for row in shown.to_json()["results"]:
        scores = row["scores"]["mine"]
        assert [(one["statistic"], one["split"], one["better"]) for one in scores["rows"][:2]] == [
            ("closeness", "forget", "higher"),
            ("closeness", "retain", "higher"),
        ]
        assert all(0 < one["reference"] <= 1 for one in scores["rows"])
        assert row["forget"] == row["scores"]["klom"]["rows"][0]["value"]


def test_the_terminal_shows_it(session: Session, shown: RunResult) -> None:
    console = Console(width=200, record=True, file=io.StringIO())
    show_run(shown, console, session)
    assert "Closeness (steps)" in console.export_text()


def test_the_page_shows_it_in_table_and_words(shown: RunResult) -> None:
    page = Path(str(shown.report)).read_text()
    for words in (
        "Closeness (steps)",
        "furthest point",
        "points apart",
        "Closeness is how near the mean margins of unlearned models are",
    ):
        assert words in page


def test_mlflow_shows_it(session: Session, shown: RunResult) -> None:
    client = MlflowClient(f"sqlite:///{session.store.uri}/mlflow.db")
    found = client.search_runs([client.get_experiment_by_name("unlearning").experiment_id])
    runs = {run.info.run_name: run for run in found}
    child, parent = runs["4 some: dmm"], runs["tiny"]
    assert {
        "closeness_mine_forget",
        "furthest_mine_retain",
        "p95_klom_forget",
        "auc_ulira_forget",
    } <= child.data.metrics.keys()
    assert (
        parent.data.metrics["closeness_mine_forget/some/dmm"] == child.data.metrics["closeness_mine_forget"]
    )
    assert "Closeness" in child.data.tags["mlflow.note.content"]
    names = {Path(one.path).name for one in client.list_artifacts(child.info.run_id, "figures")}
    assert names == {"klom_by_split.png", "accuracy_by_split.png", "ulira_by_split.png", "mine_by_split.png"}
    table = json.loads(
        Path(mlflow.artifacts.download_artifacts(f"{child.info.artifact_uri}/tables/scores.json")).read_text()
    )
    assert {row[table["columns"].index("judge")] for row in table["data"]} == {
        "klom",
        "accuracy",
        "ulira",
        "mine",
    }


def test_a_headline_from_outside_leads_words_and_figures(session: Session, shown: RunResult) -> None:
    first = open_at(session.store.uri, judges={"mine": MINE, "klom": TINY["judges"]["klom"]})
    assert {key for key, status in statuses(first).items() if status != "done"} == {"report"}
    result = run_experiment(first, Console(quiet=True), executor="serial")
    page = Path(str(result.report)).read_text()
    assert "Closeness against cost" in page
    names = first.store.blob_names(
        *[(state := first.graph.survey(first.store)["report"]).table.folder, state.pieces[0].shard]
    )
    assert "mine_against_cost.png" in names


def test_experiments_are_compared_by_it(
    session: Session, shown: RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store, judges = session.store.uri, {"mine": MINE, "klom": TINY["judges"]["klom"]}
    one = open_at(store, name="one", judges=judges, **FEW)
    other = open_at(store, name="other", model={"name": "logistic"}, judges=judges, **FEW)
    for each in (one, other):
        assert not run_serially(each, until="evaluate").failures
    found = compare_experiments(
        ["one", "other"], {"one": one, "other": other}.__getitem__, Console(quiet=True)
    )
    page = Path(found.page).read_text()
    assert "Closeness, forget" in page
    assert "steps from retraining in one" in found.to_json()["headline"]
    console = Console(width=200, record=True, file=io.StringIO())
    show_comparison(found.content, found.page, console)
    assert "Closeness, forget, in steps" in console.export_text()


@pytest.mark.parametrize(
    ("judge", "words"),
    [
        (
            "outside_judges:Greedy",
            "needs at least 7 models on each side, but populations.full.n_models is 6; raise it to 7, or "
            "leave the judge out",
        ),
        (
            "outside_judges:Demanding",
            "needs gradients, but only `full`, `logits`, `margins`, `states` are available",
        ),
        ("outside_judges:Nobody", "cannot be imported"),
        ({"name": "klom", "variant": "paper", "n_bins": 10}, "variant 'paper' fixes its bins"),
        ({"name": "ulira", "splits": []}, "splits"),
    ],
)
def test_what_a_judge_cannot_have_is_refused_before_compute(
    tmp_path: Path, judge: object, words: str
) -> None:
    with pytest.raises(ConfigError, match=r"judges\.mine") as refused:
        open_at(tmp_path, judges={"mine": judge})
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("name", "words"), [(name, words) for name, (_, words) in outside_judges.MISTAKEN.items()]
)
def test_a_mistaken_judge_is_a_failed_shard_that_names_it(finished: Path, name: str, words: str) -> None:
    session = open_at(finished, judges={"mine": f"outside_judges:{name}"})
    failed = run_serially(session, wanted=frozenset({"evaluate/mine/floor/some"})).failures[0]
    assert f"outside_judges:{name} (your Judge)" in failed.error
    assert words in failed.error


def scores_of(session: Session, label: str, method: str) -> Scores:
    rows = {
        row["unlearner"]: row
        for row in result_rows(session.graph, session.store, session.graph.survey(session.store))
    }
    return Scores.from_json(rows[method]["scores"][label])


def test_a_judge_that_needs_states_finds_those_of_all_models(tmp_path: Path) -> None:
    unlearners = FEW["unlearners"] | {"direct": "dm_direct"}
    session = open_at(
        tmp_path,
        judges={"weights": "outside_judges:Weights", "klom": {"n_resamples": 20}},
        **FEW | {"unlearners": unlearners},
    )
    result = run_experiment(session, Console(quiet=True), executor="serial")
    assert not result.failures
    assert scores_of(session, "weights", "nothing").rows[0].value == 0
    assert scores_of(session, "weights", "ascent").rows[0].value > 0
    assert "evaluate/weights/direct/some" not in session.graph.nodes
    assert "judge 'weights' leaves out 'direct'" in " ".join(planned_work(session)["notices"])
    assert Path(str(result.report)).is_file()


def test_models_that_a_judge_has_trained_are_planned_priced_and_resumed(tmp_path: Path) -> None:
    session = open_at(
        tmp_path, judges={"klom": {"n_resamples": 20}, "shadows": "outside_judges:Shadows"}, **FEW
    )
    priced = {row["node"]: row["retrainings"] for row in planned_work(session)["nodes"] if ":" in row["node"]}
    assert priced == {"train/shadows:subsets": 1.0, "train/shadows:without/some": 2.0}
    walk = Walk(session.graph, session.store, open_executor=lambda: StoppingExecutor(session, 4))
    with pytest.raises(KeyboardInterrupt):
        walk.run()
    assert not run_serially(session, draws=True).failures
    assert scores_of(session, "shadows", "ascent").statistics == ("subsets", "without")
    page = session.store.read_blob(
        (state := session.graph.survey(session.store)["report"]).table.folder, state.pieces[0].shard, "html"
    )
    assert b"shadows: subsets" in page


def test_two_labels_of_a_judge_share_their_models_and_none_is_trained_twice(tmp_path: Path) -> None:
    """The smaller population lies in the folder of the larger one."""
    judges = {
        label: {"name": "outside_judges:Shadows", "n_models": n_models}
        for label, n_models in (("few", 2), ("more", 7), ("also", 3))
    }
    session = open_at(tmp_path, judges=judges, **FEW)
    progress = run_serially(session)
    assert all_done(progress)
    states = progress.states
    assert states["train/few:subsets"].folder == states["train/more:subsets"].folder
    trained = sum(
        progress.states[key].n_done for key in ("train/full", "train/oracle/some", "train/floor/some")
    )
    assert (
        progress.n_models_made
        == trained + 2 * 7 + states["unlearn/nothing/some"].n_done + states["unlearn/ascent/some"].n_done
    )


def test_a_smaller_population_is_made_where_the_larger_one_of_its_folder_fails(tmp_path: Path) -> None:
    judges = {
        label: {"name": "outside_judges:Shadows", "n_models": n_models}
        for label, n_models in (("few", 2), ("more", 7))
    }
    session = open_at(tmp_path, "store.shard_members=2", judges=judges, **FEW)

    def compute(task: Task, device: str) -> dict[str, Any]:
        if task.node.key == "train/more:subsets":
            raise ValueError("no")
        return compute_task(task, session.examples, device)

    progress = Walk(session.graph, session.store, open_executor=lambda: SerialExecutor(compute)).run()
    assert {failure.key for failure in progress.failures} == {"train/more:subsets"}
    assert progress.states["evaluate/few/ascent/some"].status == "done"


def test_models_are_trained_further_for_a_judge_on_both_sides(tmp_path: Path) -> None:
    session = open_at(
        tmp_path, judges={"klom": {"n_resamples": 20}, "relearning": "outside_judges:Relearning"}, **FEW
    )
    further = {key for key in session.graph.nodes if key.startswith("unlearn/relearning:")}
    assert further == {
        f"unlearn/relearning:{side}/some" for side in (":oracle", "floor", "nothing", "ascent")
    }
    assert not run_serially(session).failures
    gain = scores_of(session, "relearning", "nothing").rows[0]
    assert gain.value != gain.reference
