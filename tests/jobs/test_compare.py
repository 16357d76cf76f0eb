"""`dmm compare` shows finished experiments of one store on one page.

It computes nothing and refuses experiments that cannot be compared.
"""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from terminal import Dmm, answer
from tiny import TINY, open_at, run_serially, tables

from pipeline import config

CONFIGS = Path(__file__).parents[2] / "jobs" / "configs"
OTHER = TINY | {"name": "other", "model": {"name": "logistic"}}


@pytest.fixture(scope="module")
def both(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of two finished experiments: the tiny one, and the same with another model."""
    store = Path(shutil.copytree(whole, tmp_path_factory.mktemp("both") / "store"))
    run_serially(open_at(store, name=OTHER["name"], model=OTHER["model"]), until="evaluate")
    return store


@pytest.fixture
def compare(dmm: Dmm, both: Path) -> Any:
    """Compare tiny.yaml with configs given as trees, on that store."""

    def run(*trees: dict[str, Any], store: Path = both) -> tuple[int, str, str]:
        for number, tree in enumerate(trees):
            Path(f"{number}.yaml").write_text(yaml.safe_dump(tree, sort_keys=False))
        return dmm(
            "compare",
            "tiny.yaml",
            *(f"{number}.yaml" for number in range(len(trees))),
            "--store",
            str(store),
            "--json",
        )

    return run


def test_two_experiments_stand_on_one_page_and_nothing_is_computed(compare, both):
    before = tables(both)
    status, out, _ = compare(OTHER)
    result = answer(out)
    assert (status, result["experiments"], tables(both)) == (0, ["tiny", "other"], before)
    assert result["page"] == str(both / "compare-tiny-other.html")
    page = Path(result["page"]).read_text()
    assert result["headline"] in " ".join(out.split())
    assert all(words in page for words in ("tiny and other compared", "model.name", "logistic", "mlp"))


def test_the_rows_are_those_of_the_runs_alone(compare, dmm, both):
    rows = answer(compare(OTHER)[1])["results"]
    assert {(row["experiment"], row["forget_set"], row["unlearner"]) for row in rows} == {
        (name, label, unlearner)
        for name in ("tiny", "other")
        for label in TINY["forget_sets"]
        for unlearner in TINY["unlearners"]
    }
    alone = answer(dmm("run", "tiny.yaml", "--store", str(both), "--executor", "serial", "--json")[1])[
        "results"
    ]
    assert [
        {key: value for key, value in row.items() if key != "experiment"}
        for row in rows
        if row["experiment"] == "tiny"
    ] == alone


def test_only_shared_sets_are_compared_and_a_method_may_be_missing(compare, both):
    few = OTHER | {"forget_sets": {"some": TINY["forget_sets"]["some"]}, "unlearners": {"nothing": "no_op"}}
    status, out, _ = compare(few)
    result = answer(out)
    assert status == 0
    assert {row["forget_set"] for row in result["results"]} == {"some"}
    assert {"setting": "unlearners.dmm.epochs", "tiny": "2", "other": "–"} in result["differences"]


def test_an_experiment_that_is_not_finished_is_named_with_what_finishes_it(compare, whole, tmp_path):
    store = Path(shutil.copytree(whole, tmp_path / "store"))
    status, out, _ = compare(OTHER, store=store)
    said = answer(out)["error"]
    assert status == 1
    assert said.startswith("other is not finished")
    assert f"run `dmm run 0.yaml --store {store}`" in said
    assert not list(store.glob("compare-*"))


@pytest.mark.parametrize(
    ("trees", "words"),
    [
        ([], "needs at least two configs but got 1"),
        ([TINY], "describe the same experiment, tiny"),
        ([OTHER | {"name": "tiny"}], "both have the name 'tiny'; give one of them another `name`"),
        (
            [OTHER | {"forget_sets": {"else": {"name": "random", "n_points": 5}}}],
            "no forget set label in common: tiny has some, wrong; other has else",
        ),
        (
            [OTHER | {"judges": {"klom": {"n_resamples": 20, "n_bins": 10}}}],
            "use different judge settings (judges.klom.n_bins 20 and 10)",
        ),
        (
            [OTHER | {"judges": {"accuracy": {}, **TINY["judges"]}}],
            "use different judge settings (the first judge is klom in one and accuracy in the other)",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(compare, both, trees, words):
    status, out, _ = compare(*trees)
    assert (status, words in answer(out)["error"]) == (2, True)
    assert not (both / "compare-tiny-tiny.html").exists()


def test_experiments_of_several_stores_are_refused(dmm):
    Path("other.yaml").write_text(yaml.safe_dump(OTHER | {"store": {"uri": "elsewhere"}}, sort_keys=False))
    status, out, _ = dmm("compare", "tiny.yaml", "other.yaml", "--json")
    assert (
        status,
        "are in 2 different stores; give the store that holds all of them with --store"
        in answer(out)["error"],
    ) == (
        2,
        True,
    )


def test_the_two_demonstrations_can_be_compared():
    convex, digits = (config.read(CONFIGS / f"{name}.yaml") for name in ("convex", "digits"))
    assert (convex.name, digits.name) == ("convex", "digits")
    for part in ("seed", "dataset", "recipe", "populations", "forget_sets", "judges"):
        assert getattr(convex, part) == getattr(digits, part)
    assert {label: one.name for label, one in convex.unlearners.items()} == {
        label: one.name for label, one in digits.unlearners.items()
    }
