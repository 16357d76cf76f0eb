"""The `dmm` command as users see it: its output, its exit status, and refusals before anything is written."""

import json
import os
import signal
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import typer
from terminal import Dmm, answer, serial
from tiny import TINY, tables

from jobs import cli
from jobs.options import Json
from pipeline import config

SPLITS = {"forget", "retain", "validation"}


def test_a_run_prints_the_object_that_it_promises(dmm: Dmm, tmp_path: Path) -> None:
    status, out, _ = dmm(*serial("run"))
    result = answer(out)
    assert status == 0
    assert {(row["unlearner"], row["forget_set"]) for row in result["results"]} == {
        (u, f) for u in TINY["unlearners"] for f in TINY["forget_sets"]
    }
    for row in result["results"]:
        assert set(row["floor"]) == set(row["mean"]) == set(row["accuracy"]) == SPLITS
        assert all(0 <= row[split] <= 11.52 and 0 <= row["accuracy"][split] <= 1 for split in SPLITS)
        assert {"samples", "fraction", "amortised_fraction"} <= set(row["cost"])
        assert row["cost"]["fraction"] == pytest.approx(row["cost"]["samples"] / (2 * 60))
    assert result["seconds"] > 0
    assert result["store"] == str(tmp_path / "store")
    assert result["mlflow_run_id"] == ""
    assert Path(result["report"]).read_text().startswith("<!doctype html>")


@pytest.mark.usefixtures("finished")
def test_a_second_run_computes_nothing_and_says_so(dmm: Dmm) -> None:
    before = tables("store")
    status, out, _ = dmm(*serial("run"))
    assert status == 0
    assert answer(out)["n_models_made"] == 0
    assert "All done already" in out
    assert tables("store") == before


@pytest.mark.parametrize("verb", ["plan", "status"])
def test_looking_writes_nothing(dmm: Dmm, tmp_path: Path, verb: str) -> None:
    status, out, _ = dmm(verb, "tiny.yaml", "--store", "store", "--json")
    assert status == 0
    assert {node["status"] for node in answer(out)["nodes"]} == {"missing", "waiting"}
    assert not (tmp_path / "store").exists()


def test_a_plan_counts_retrainings(dmm: Dmm) -> None:
    plan = answer(dmm("plan", "tiny.yaml", "--store", "store", "--json")[1])
    learnt_from = 20 * 0.5 + 10 * 0.7 + 2
    assert plan["retrainings"] == learnt_from + 6 * 0.5 + 6 + 2 * (6 + 6)
    assert plan["break_even_requests"] == learnt_from


def test_a_plan_calls_no_scouts_subset_models_and_its_break_even_a_least(dmm: Dmm) -> None:
    status, out, _ = dmm("plan", "tiny.yaml", "--store", "store", "--set", "estimator.name=trak")
    said = " ".join(out.split())
    assert (status, "the models that effects are learnt from cost 2 retrainings" in said) == (0, True)
    assert "at least 2 requests" in said
    assert "subset models cost" not in said


def test_a_plan_says_what_focused_models_add_to_each_request(dmm: Dmm) -> None:
    status, out, _ = dmm(
        "plan",
        "tiny.yaml",
        "--store",
        "store",
        "--json",
        "--set",
        "populations.focused={n_models: 4, keep_fraction: 0.85}",
    )
    plan = answer(out)
    assert status == 0
    assert plan["focused_retrainings"] == pytest.approx(4 * 0.85)
    assert sum(node["retrainings"] for node in plan["nodes"] if "focused" in node["node"]) == pytest.approx(
        2 * 4 * 0.85
    )
    assert plan["break_even_with_focused"] == pytest.approx((20 * 0.5 + 10 * 0.7 + 2) / (6 - 3.4))
    assert (
        "For 6 models in each request, datamodel and focused models together pay from 8 requests on."
        in " ".join(out.split())
    )


def test_until_and_status_tell_the_same(dmm: Dmm) -> None:
    dmm(*serial("run", "--until", "train"))
    nodes = {
        node["node"]: node
        for node in answer(dmm("status", "tiny.yaml", "--store", "store", "--json")[1])["nodes"]
    }
    assert (nodes["train/subset"]["status"], nodes["train/subset"]["done"]) == ("done", 20)
    assert (nodes["factor"]["status"], nodes["report"]["status"]) == ("missing", "waiting")
    assert (nodes["train/subset"]["forget_set"], nodes["train/oracle/some"]["forget_set"]) == (None, "some")


def test_a_run_until_groups_trains_scouts_and_nothing_else(dmm: Dmm) -> None:
    status, out, _ = dmm(*serial("run", "--until", "groups"))
    assert (status, answer(out)["n_models_made"], answer(out)["complete"]) == (0, 2, True)
    nodes = {
        node["node"]: node["status"]
        for node in answer(dmm("status", "tiny.yaml", "--store", "store", "--json")[1])["nodes"]
    }
    assert {key for key, status in nodes.items() if status == "done"} == {
        "train/scout",
        "groups",
        "forget/some",
        "forget/wrong",
    }
    assert (nodes["train/designed"], nodes["train/subset"], nodes["factor"]) == (
        "missing",
        "missing",
        "waiting",
    )


@pytest.mark.parametrize(
    ("overrides", "there"),
    [
        ([], {"train/scout", "groups", "train/subset", "train/designed", "train/heldout", "score", "curve"}),
        (
            ["estimator=ridge", "populations.designed=null"],
            {"train/subset", "train/heldout", "score", "curve"},
        ),
        (["populations.heldout=null"], {"train/scout", "groups", "train/subset", "train/designed"}),
        (["unlearners={nothing: no_op}"], set()),
    ],
)
@pytest.mark.parametrize("verb", ["plan", "status"])
def test_what_attribution_needs_is_listed_and_nothing_else(
    dmm: Dmm, verb: str, overrides: list[str], there: set[str]
) -> None:
    told = answer(
        dmm(
            verb,
            "tiny.yaml",
            "--store",
            "store",
            "--json",
            *(word for override in overrides for word in ("--set", override)),
        )[1]
    )
    attribution = {
        "train/scout",
        "groups",
        "train/subset",
        "train/designed",
        "train/heldout",
        "score",
        "curve",
    }
    assert {node["node"] for node in told["nodes"]} & attribution == there


@pytest.mark.usefixtures("finished")
@pytest.mark.parametrize("shard_members", [5, 3])
def test_damage_is_named_and_just_that_is_made_again(dmm: Dmm, tmp_path: Path, shard_members: int) -> None:
    before = tables("store")
    shards = sorted((tmp_path / "store" / "train").glob("subset-*/*/*.parquet"))
    shards[0].write_bytes(shards[0].read_bytes()[:-20])
    content = bytearray(shards[2].read_bytes())
    content[len(content) // 2] ^= 1
    shards[2].write_bytes(bytes(content))
    status, out, _ = dmm("verify", "tiny.yaml", "--store", "store", "--json")
    assert status == 1
    assert [Path(problem["path"]).name for problem in answer(out)["problems"]] == [
        shards[0].name,
        shards[2].name,
    ]
    status, out, _ = dmm(*serial("verify", "--repair", "--set", f"store.shard_members={shard_members}"))
    assert (status, answer(out)["n_models_made"]) == (0, 10)
    assert tables("store") == before
    assert dmm("verify", "tiny.yaml", "--store", "store", "--json")[0] == 0


@pytest.mark.usefixtures("finished")
def test_a_failed_shard_is_named_with_status_1(
    dmm: Dmm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "poison.py").write_text(
        "from pipeline.unlearning.no_op import NoOp\n\nclass Poison(NoOp):\n    def unlearn(self, "
        "request):\n        raise ValueError('poisoned')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    status, out, _ = dmm(*serial("run", "--set", "unlearners.bad.name=poison:Poison"))
    assert status == 1
    (error,) = {failure["error"] for failure in answer(out)["failures"]}
    assert "poison:Poison (your Unlearner): unlearn() raised ValueError: poisoned" in error
    assert "failed: unlearn/bad/some 0-5: PluginError: poison:Poison" in out
    assert {row["unlearner"] for row in answer(out)["results"]} == set(TINY["unlearners"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--set", "unlearners.dmm.name=dmn"],
            "unknown unlearner 'dmn'; known: dm_direct, dmm, finetune, gradient_ascent, no_op, "
            "oracle_matching. Did you mean 'dmm'?",
        ),
        (["--set", "recipe.epoch=3"], "recipe.epoch: unknown setting"),
        (["--set", "recipe.epochs=0"], "recipe.epochs: expected at least 1, got 0"),
        (["--set", "recipe.learning_rate=.nan"], "recipe.learning_rate: expected a finite number"),
        (["--set", "recipe"], "expected key=value"),
        (["--set", ".recipe.epochs=3"], "the key has an empty part"),
        (
            ["--set", "store.uri=exp #2"],
            "YAML reads text after # as a comment; put the value in quotes",
        ),
        (["--set", "name=#2"], "YAML reads text after # as a comment"),
        (["--set", "populations.subset.n_models=1000000000000"], "expected at most 2000000"),
        (["--set", "forget_sets.some.n_points=60"], "forget_sets.some: "),
        (["--set", "unlearners.floor=no_op"], "choose another label"),
        (["--set", "unlearners.a/b=no_op"], "label 'a/b' must start with a letter or digit"),
        (
            ["--set", "unlearners.dmm.retain_points=60"],
            "unlearners.dmm: retain_points is 60 but there are 60 training points",
        ),
        (["--set", "populations.subset.keep_fraction=0.001"], "keeps 0 of 60 training points"),
        (
            ["--set", "populations.designed.keep_fraction=0.999"],
            "keep_fraction 0.999 keeps 60 of 60 training points",
        ),
        (
            ["--set", "populations.designed.keep_fraction=1"],
            "populations.designed.keep_fraction: expected less than 1",
        ),
        (
            ["--set", "populations.designed.n_models=2"],
            "populations.designed: n_models is 2; at least 3 models",
        ),
        (["--set", "populations.designd.n_models=9"], "populations.designd: unknown setting"),
        (["--set", "populations.n_seeds=1"], "populations.n_seeds: expected at least 2"),
        (["--set", "populations.scout.n_models=1"], "populations.scout: n_models is 1; at least 2 models"),
        (["--set", "estimator.effect_shrinkage=2"], "estimator"),
        (["--set", "estimator=krenel"], "unknown estimator 'krenel'"),
        (["--set", "model={name: cnn}"], "model 'cnn': inputs have shape"),
        (["--set", "recipe.optimizer=adafactor"], "recipe.ensemble is 'stacked', but optimizer adafactor"),
        (["--set", "tracking.uri=file:/somewhere"], "no longer accepts"),
        (["--executor", "dask"], "unknown executor 'dask'; known: ray, serial"),
        (["--until", "trian"], "unknown stage 'trian'"),
        (["--store", "ftp://host/runs"], "unknown scheme 'ftp'; known: a folder, "),
    ],
)
def test_what_is_wrong_is_refused_with_status_2_before_anything_is_written(
    dmm: Dmm, tmp_path: Path, arguments: list[str], message: str
) -> None:
    status, out, err = dmm("run", "tiny.yaml", "--store", "store", "--json", *arguments)
    assert (status, answer(out)["exit_status"]) == (2, 2)
    assert message in answer(out)["error"]
    assert message.split("\n")[0][:40] in err
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        ("a: [", "cannot be read as YAML"),
        ("- 1", "holds a list; expected settings"),
        ("17", "holds 17 alone; expected settings"),
        ("", "is empty; expected settings"),
        ("name: a\nname: b", "key 'name' appears twice"),
    ],
)
def test_a_config_that_is_none_is_refused(
    dmm: Dmm, tmp_path: Path, content: str | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "bad.yaml").write_text(content)
    status, _, err = dmm("plan", "bad.yaml")
    assert status == 2
    assert message in " ".join(err.split())


def test_a_config_that_is_no_text_is_refused(dmm: Dmm, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_bytes(b"name: \xff\xfe")
    status, _, err = dmm("plan", "bad.yaml")
    assert status == 2
    assert "is not UTF-8 text (invalid start byte at byte 6)" in " ".join(err.split())


def test_models_that_cannot_be_stacked_are_run_one_by_one_with_a_word(dmm: Dmm) -> None:
    status, _, err = dmm(
        *serial("run", "--set", "model.dropout=0.5", "--set", "recipe.ensemble=auto", "--until", "train")
    )
    assert status == 0
    assert "one by one, not stacked: Dropout draws random numbers" in " ".join(err.split())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--exeutor", "serial"], "Error"),
        (["rnu"], "Error"),
        (["klom"], "needs --unlearned FILE and --oracle FILE"),
    ],
)
def test_a_command_that_is_not_understood_is_json_too(dmm: Dmm, arguments: list[str], words: str) -> None:
    status, out, err = dmm(*arguments, "--json")
    assert (status, answer(out)["exit_status"]) == (2, 2)
    assert words in err


def test_a_printed_config_is_the_same_experiment(dmm: Dmm, tmp_path: Path) -> None:
    (tmp_path / "whole.yaml").write_text(dmm("config", "tiny.yaml", "--print")[1])
    assert config.read(tmp_path / "whole.yaml") == config.read(tmp_path / "tiny.yaml")


def test_the_schema_knows_every_plugin(dmm: Dmm) -> None:
    schema = json.loads(dmm("config", "--schema")[1])
    names = {choice["properties"]["name"]["const"] for choice in schema["properties"]["model"]["anyOf"]}
    assert names == {"logistic", "mlp", "cnn"}


def test_the_demonstration_needs_no_config(dmm: Dmm) -> None:
    plan = answer(dmm("plan", "--json", "--store", "store")[1])
    wanted = {node["node"]: node["wanted"] for node in plan["nodes"]}
    assert (wanted["train/subset"], wanted["train/designed"]) == (500, 1000)
    assert {name.split("/")[1] for name in wanted if name.startswith("forget/")} == {
        "coherent",
        "random",
        "mislabelled",
    }
    assert {name.split("/")[1] for name in wanted if name.startswith("unlearn/")} == {
        "nothing",
        "dm_direct",
        "dmm",
        "oracle_matching",
        "ascent",
        "finetune",
    }


def test_klom_of_files_is_that_of_the_library(dmm: Dmm, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pair = {name: rng.normal(size=(20, 30)) for name in ("a", "b")}
    for name, margins in pair.items():
        np.save(tmp_path / f"{name}.npy", margins)
    status, out, _ = dmm(
        "klom", "--unlearned", "a.npy", "--oracle", "b.npy", "--variant", "easydub", "--json"
    )
    from pipeline.evaluation.klom import klom, klom_summary

    expected = klom_summary(klom(unlearned=pair["a"], oracle=pair["b"], variant="easydub").values)
    assert status == 0
    assert {name: answer(out)[name] for name in expected} == expected
    assert answer(out)["p95_interval"][0] <= expected["p95"] <= answer(out)["p95_interval"][1]


@pytest.mark.parametrize(
    ("margins", "message"),
    [
        (np.zeros((5, 4)), "unlearned margins have 4 points, but oracle margins have 3"),
        (np.zeros(5), "expected margins (n_models, n_points)"),
        (np.zeros((5, 3), int), "expected margins as floating-point numbers"),
        (None, "cannot be read (No such file or directory)"),
    ],
)
def test_margins_that_cannot_be_used_are_refused_by_name(
    dmm: Dmm, tmp_path: Path, margins: np.ndarray | None, message: str
) -> None:
    np.save(tmp_path / "oracle.npy", np.zeros((5, 3)))
    if margins is not None:
        np.save(tmp_path / "mine.npy", margins)
    status, out, _ = dmm("klom", "--unlearned", "mine.npy", "--oracle", "oracle.npy", "--json")
    assert status == 2
    assert message in answer(out)["error"]


def test_a_pickle_is_never_opened(dmm: Dmm, tmp_path: Path) -> None:
    np.save(tmp_path / "mine.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    status, out, _ = dmm("klom", "--unlearned", "mine.npy", "--oracle", "mine.npy", "--json")
    assert status == 2
    assert "not a plain .npy array" in answer(out)["error"]


def test_an_interrupt_that_others_code_turned_into_an_error_is_an_interrupt(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def wrap() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()
        except KeyboardInterrupt as told:
            raise ValueError("told") from told

    commands = typer.Typer()
    commands.command()(wrap)
    monkeypatch.setattr(sys, "argv", ["wrap"])
    with pytest.raises(SystemExit) as ended:
        cli.main(commands)
    assert ended.value.code == 130
    assert "the same command goes on from here" in capsys.readouterr().err


def test_a_password_in_the_tracking_address_is_refused_and_not_repeated(dmm: Dmm) -> None:
    status, out, err = dmm(
        "config", "tiny.yaml", "--print", "--set", "tracking.uri=http://me:s3cr@et@mlflow:5000"
    )
    assert (status, "et@mlflow" in out + err) == (2, False)
    assert "'http://***@mlflow:5000' contains a password" in err
    assert "MLFLOW_TRACKING_PASSWORD" in err


def test_a_password_in_the_environments_tracking_address_is_not_shown(
    dmm: Dmm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:s3cret@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    _, out, err = dmm(*serial("run", "--until", "groups", "--set", "tracking.uri=null"))
    assert answer(out)["tracking_uri"] == "http://***@127.0.0.1:9"
    shown = dmm("ui", "tiny.yaml", "--set", "tracking.uri=null")[1]
    assert "open http://***@127.0.0.1:9" in shown
    assert "s3cret" not in out + err + shown


def defect(json_: Json = False) -> None:
    """Fail in a way that nobody foresaw."""
    _ = {}["key"]


@pytest.mark.parametrize(("debug", "shows"), [("", False), ("1", True)])
def test_an_unexpected_error_is_told_in_words_and_shows_its_traceback_only_if_asked(
    monkeypatch, capsys, debug: str, shows: bool
) -> None:
    commands = typer.Typer()
    commands.command()(defect)
    monkeypatch.setattr(sys, "argv", ["defect", "--json"])
    monkeypatch.setenv("DMM_DEBUG", debug)
    with pytest.raises(SystemExit) as ended:
        cli.main(commands)
    out, err = capsys.readouterr()
    assert ended.value.code == 1
    assert f"this is a defect of dmm: KeyError: 'key' ({__file__} line " in answer(out)["error"]
    assert ("Traceback" in err, "DMM_DEBUG=1" in err) == (shows, not shows)


@pytest.mark.parametrize(("debug", "shows"), [("", False), ("1", True)])
def test_a_mistake_in_a_users_class_is_status_2_and_shows_its_traceback_only_if_asked(
    dmm: Dmm, monkeypatch, debug: str, shows: bool
) -> None:
    monkeypatch.setenv("DMM_DEBUG", debug)
    status, out, err = dmm(
        "plan", "tiny.yaml", "--store", "store", "--json", "--set", "model='mistakes:BuildRaises'"
    )
    assert status == 2
    assert "mistakes:BuildRaises (your Model): build() raised ValueError" in answer(out)["error"]
    assert ("Traceback" in err) == shows


def test_a_class_that_ends_the_process_does_not_end_in_success(dmm: Dmm) -> None:
    status, _, err = dmm("plan", "tiny.yaml", "--store", "store", "--set", "model='mistakes:BuildExits'")
    assert (status, "build() raised SystemExit: bye" in err) == (2, True)


def test_the_version_is_that_of_the_installed_package(dmm: Dmm) -> None:
    assert dmm("--version")[:2] == (0, f"dmm {metadata.version('datamodel-matching')}\n")
