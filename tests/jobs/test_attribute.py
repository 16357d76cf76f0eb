"""`dmm attribute` end to end.

It computes only its dependencies, finds the points that are behind an output, and refuses senseless requests.
"""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from rich.console import Console
from sklearn.metrics import r2_score
from tiny import TINY, run_serially, statuses

from jobs import cli
from jobs.answers.attribution import attribute_point, predict_removal
from jobs.commands.attribute import show_forecast
from jobs.options import plain_console
from jobs.session import Session
from pipeline.attribution import ESTIMATORS
from pipeline.attribution.evidence import Block, Evidence, without_seed_effects
from pipeline.attribution.ridge import Ridge
from pipeline.core.errors import ConfigError
from pipeline.data.masks import unpack

Open = Callable[..., Session]
Dmm = Callable[..., tuple[int, str, str]]
POINT = {"id", "split", "label", "is_flipped"}
# A linear model on planted groups, so that what is behind an output is known.
LINEAR: dict[str, Any] = {
    "dataset": {"name": "planted", "n_train": 60, "n_validation": 20, "label_noise": {"n_points": 6}},
    "model": "logistic",
    "recipe": {"epochs": 3, "batch_size": 20, "learning_rate": 0.1, "ensemble": "stacked"},
    "populations": {
        "subset": {"n_models": 300, "keep_fraction": 0.7},
        "designed": None,
        "n_seeds": None,
        "heldout": None,
        "full": {"n_models": 4},
    },
    "estimator": "ridge",
    "store": {"shard_members": 100, "layout": {"block_points": 30}},
}


@pytest.fixture
def dmm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Dmm:
    """Run `dmm attribute` on the tiny experiment.

    Return exit status, the JSON object and everything else on standard output.
    """
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(TINY, sort_keys=False))

    def run(*arguments: str) -> tuple[int, Any, str]:
        monkeypatch.setattr(
            sys,
            "argv",
            [
                "dmm",
                "attribute",
                "tiny.yaml",
                "--store",
                "store",
                "--executor",
                "serial",
                "--json",
                *arguments,
            ],
        )
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        *lines, answer = capsys.readouterr().out.splitlines()
        return int(ended.value.code or 0), json.loads(answer), "\n".join(lines)

    return run


def point(session: Session, target: int, **options: Any) -> dict[str, Any]:
    asked = {"top": 5, "output": "margin", "picture": None, "executor": "serial"} | options
    return attribute_point(session, Console(quiet=True), target=str(target), **asked)


def read(session: Session, key: str) -> dict[str, np.ndarray]:
    return session.store.read(session.graph.survey(session.store)[key].table)


def r2_of_logit(session: Session, target: int, class_: int) -> float:
    """Return what ridge fitted to one logit explains of it on held-out models."""
    keys = ("train/subset", "train/designed", "train/heldout")
    *masks, heldout = (unpack(read(session, key)["mask"], 60) for key in keys)
    *logits, actual = (
        read(session, key)[f"logits_{target // 30:05d}"][:, target % 30, class_, None].astype(np.float32)
        for key in keys
    )
    seeds, populations = (
        np.concatenate(parts)
        for parts in ([read(session, key)["seed"] for key in keys[:2]], [[0] * 20, [1] * 10])
    )
    evidence = Evidence(masks=np.concatenate(masks))
    block = Block(
        points=np.array([target]),
        outputs=without_seed_effects(np.concatenate(logits), seeds, populations),
        per_point=1,
    )
    ridge, factor = Ridge(), Ridge().factor(evidence)
    predicted = ridge.datamodel(factor, ridge.fit(factor, evidence, block), evidence, block).predict(heldout)
    return float(r2_score(actual, predicted))


def test_a_point_is_explained_in_words_json_and_a_picture(dmm: Dmm, tmp_path: Path) -> None:
    status, answer, said = dmm("--target", "61", "--top", "3", "--output", "picture.png")
    assert status == 0
    assert {
        "target",
        "output",
        "unit",
        "r2",
        "helpful",
        "harmful",
        "top",
        "estimator",
        "n_models",
        "picture",
    } == set(answer)
    assert answer["target"]["split"] == "validation"
    assert (answer["output"], answer["unit"], answer["n_models"]) == ("margin", "nats", 30)
    assert all(
        set(row) == POINT | {"weight", "standard_error"} for row in answer["helpful"] + answer["harmful"]
    )
    assert all(row["weight"] > 0 for row in answer["helpful"])
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
    assert "What helps and hurts validation point 61" in said


def test_a_removal_is_predicted_in_words_json_and_a_picture(dmm: Dmm, tmp_path: Path) -> None:
    status, answer, said = dmm("--forget", "some", "--top", "4")
    assert status == 0
    assert set(answer) == {
        "forget_set",
        "unit",
        "splits",
        "forget",
        "others",
        "words",
        "estimator",
        "n_models",
        "picture",
    }
    assert [answer["splits"][name]["n_points"] for name in ("forget", "retain", "validation")] == [5, 55, 20]
    assert all(
        set(row) == POINT | {"before", "after", "standard_error"}
        for row in answer["forget"] + answer["others"]
    )
    assert (len(answer["forget"]), len(answer["others"])) == (4, 4)
    assert Path(answer["picture"]).parent == tmp_path / "store"
    assert all(sentence.split(".")[0][:30] in said for sentence in answer["words"])


def test_nothing_is_trained_that_the_answer_does_not_rest_on(open_tiny: Open) -> None:
    session = open_tiny()
    predict_removal(session, Console(quiet=True), label="some", top=3, picture=None, executor="serial")
    found = statuses(session)
    assert {key for key in found if found[key] == "done" and key.startswith(("effect/", "train/"))} == {
        "effect/some",
        *(f"train/{role}" for role in ("full", "scout", "subset", "designed", "heldout")),
    }
    point(session, 3)
    assert statuses(session) == found


@pytest.mark.parametrize("output", ["margin", "2"])
def test_r2_is_that_of_held_out_models(open_tiny: Open, output: str) -> None:
    session = open_tiny(estimator="ridge")
    run_serially(session, until="score")
    expected = read(session, "score")["heldout_r2"][62] if output == "margin" else r2_of_logit(session, 62, 2)
    assert point(session, 62, output=output)["r2"] == pytest.approx(expected, abs=1e-3)
    bare = open_tiny(estimator="ridge", populations=TINY["populations"] | {"heldout": None})
    assert point(bare, 62, output=output)["r2"] is None


def test_only_the_block_of_the_target_is_read(open_tiny: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    session, read = open_tiny(), []
    point(session, 3)
    whole = type(session.store).read
    monkeypatch.setattr(
        type(session.store),
        "read",
        lambda self, table, columns=None: read.extend(columns or []) or whole(self, table, columns),
    )
    point(session, 3)
    assert {name for name in read if name.startswith("logits")} == {"logits_00000"}


@pytest.mark.parametrize("output", ["margin", "own class"])
def test_own_group_helps_and_flipped_labels_in_it_hurt(open_tiny: Open, output: str) -> None:
    session = open_tiny(**LINEAR)
    examples, groups = session.examples, np.asarray(session.examples.inputs).argmax(axis=1)
    flipped = set(examples.mislabelled.tolist())
    targets = [
        index for index in range(60, 80) if set(np.flatnonzero(groups[:60] == groups[index])) & flipped
    ][:3]
    for target in targets:
        mates = set(np.flatnonzero(groups[:60] == groups[target]).tolist())
        answer = point(
            session, target, output="margin" if output == "margin" else str(examples.labels[target])
        )
        assert {row["id"] for row in answer["helpful"][:3]} <= mates - flipped
        assert {row["id"] for row in answer["harmful"][: len(mates & flipped)]} == mates & flipped
        assert all(row["is_flipped"] for row in answer["harmful"] if row["id"] in flipped)


def test_a_training_point_helps_itself_most(open_tiny: Open) -> None:
    session = open_tiny(**LINEAR)
    target = int(session.examples.mislabelled[0])
    answer = point(session, target)
    assert answer["helpful"][0]["id"] == answer["target"]["id"] == target
    assert "→" in answer["target"]["label"]


def test_what_a_run_has_computed_is_used(open_tiny: Open) -> None:
    session = open_tiny()
    before = run_serially(session, until="fit").n_models_made
    assert before > 0
    found = statuses(session)
    point(session, 79, output="2")
    assert statuses(session) == found


@pytest.mark.parametrize("estimator", [plugin.name for plugin in ESTIMATORS.plugins if plugin.name != "file"])
def test_any_estimator_can_be_asked(open_tiny: Open, estimator: str) -> None:
    session = open_tiny(estimator=estimator)
    for output in ("margin", "1"):
        answer = point(session, 62, output=output)
        assert answer["estimator"] == estimator
        assert all(row["weight"] > 0 for row in answer["helpful"])
        assert all(row["weight"] < 0 for row in answer["harmful"])
        assert Path(answer["picture"]).exists()


def test_margins_are_combined_from_a_matrix_of_logits(open_tiny: Open, tmp_path: Path) -> None:
    weights = np.random.default_rng(0).normal(size=(60, 80, 3)).astype(np.float32)
    np.save(tmp_path / "weights.npy", weights)
    session = open_tiny(estimator={"name": "file", "path": str(tmp_path / "weights.npy")})
    answer, label = point(session, 62, top=60), int(session.examples.labels[62])
    found = {row["id"]: row["weight"] for row in answer["helpful"] + answer["harmful"]}
    others = [index for index in range(3) if index != label]
    low, high = weights[:, 62, others].min(axis=1), weights[:, 62, others].max(axis=1)
    assert all(
        weights[index, 62, label] - high[index] <= found[index] <= weights[index, 62, label] - low[index]
        for index in found
    )
    assert (len(found), answer["n_models"], answer["helpful"][0]["standard_error"]) == (60, None, None)


def test_a_removal_predicted_from_a_matrix_says_that_nobody_knows_how_sure_it_is(
    open_tiny: Open, tmp_path: Path
) -> None:
    np.save(tmp_path / "weights.npy", np.random.default_rng(0).normal(size=(60, 80, 3)).astype(np.float32))
    session = open_tiny(estimator={"name": "file", "path": str(tmp_path / "weights.npy")})
    answer = predict_removal(
        session, Console(quiet=True), label="some", top=3, picture=None, executor="serial"
    )
    console = plain_console(file=io.StringIO(), record=True, width=120)
    show_forecast(answer, console)
    assert "How sure: not known, since this estimator gives no standard errors." in console.export_text()
    assert {row["standard_error"] for row in answer["forget"]} == {None}
    assert not {"median_standard_error", "share_clear"} & set(answer["splits"]["forget"])
    json.dumps(answer, allow_nan=False)


def test_a_matrix_of_margins_knows_no_logits_and_no_effects(open_tiny: Open, tmp_path: Path) -> None:
    weights = np.random.default_rng(0).normal(size=(60, 80)).astype(np.float32)
    np.save(tmp_path / "weights.npy", weights)
    session = open_tiny(
        estimator={"name": "file", "path": str(tmp_path / "weights.npy")}, unlearners={"nothing": "no_op"}
    )
    assert point(session, 62)["helpful"][0]["weight"] == pytest.approx(weights[:, 62].max())
    with pytest.raises(
        ConfigError, match="--class 1 needs effects on logits, but this attribution covers margins only"
    ):
        point(session, 62, output="1")
    with pytest.raises(ConfigError, match="no unlearner of this config uses predicted effects"):
        predict_removal(session, Console(quiet=True), label="some", top=3, picture=None, executor="serial")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "needs exactly one of --target ID and --forget LABEL"),
        (["--target", "1", "--forget", "some"], "needs exactly one of --target ID and --forget LABEL"),
        (["--target", "017"], "'017' has a leading zero"),
        (["--target", "1_7"], "'1_7' holds a separator"),
        (["--target", "-3"], "'-3' has a sign"),
        (["--target", "٣"], "'٣' is not a whole number"),
        (["--target", "3", "--class", "01"], "expected `margin` or a class"),
        (
            ["--target", "80"],
            "--target 80 is not the id of a point; training points are 0 to 59, validation points 60 to 79",
        ),
        (["--target", "1", "--top", "0"], "--top 0: expected 1 to 60"),
        (["--forget", "some", "--top", "61"], "--top 61: expected 1 to 60"),
        (["--target", "1", "--class", "3"], "--class '3': expected `margin` or a class, 0 to 2"),
        (["--target", "1", "--class", "cat"], "--class 'cat': expected `margin` or a class, 0 to 2"),
        (["--forget", "sme"], "unknown forget set 'sme'; known: some, wrong"),
        (
            ["--target", "1", "--output", "nowhere/picture.png"],
            "expected the path of a .png file in a folder that exists",
        ),
        (["--target", "1", "--executor", "dask"], "unknown executor 'dask'"),
        (
            ["--target", "1", "--set", "unlearners={a: gradient_ascent}"],
            "no unlearner of this config uses a datamodel",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_computed(
    dmm: Dmm, tmp_path: Path, arguments: list[str], message: str
) -> None:
    status, answer, _ = dmm(*arguments)
    assert (status, answer["exit_status"]) == (2, 2)
    assert message in answer["error"]
    assert not (tmp_path / "store").exists()


def test_a_shard_that_fails_is_named(dmm: Dmm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.graph.nodes.fit.Factor.compute", lambda *_: 1 / 0)
    status, answer, _ = dmm("--target", "1")
    assert status == 1
    assert "factor 0-1 failed: ZeroDivisionError" in answer["error"]
    assert "run the same command again" in answer["error"]
