"""`dmm run --until-enough` trains only as many subset models as the score needs, and says so."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from terminal import Dmm, answer, serial
from tiny import TINY, tables

from jobs.running.until_enough import Enough
from jobs.session import Session
from pipeline.execution.retry_policy import TRIES
from pipeline.graph.node import Work
from pipeline.graph.nodes.lds_curve import CurveNode
from pipeline.graph.nodes.train import Population

FEW = {role: {"n_models": 2} for role in ("scout", "full", "oracle", "floor")}
MANY = {
    **TINY["populations"],
    **FEW,
    "subset": {"n_models": 64, "keep_fraction": 0.5},
    "designed": {"n_models": 32, "keep_fraction": 0.7},
}
OF_ONE_SET = {
    "forget_sets": {"some": TINY["forget_sets"]["some"]},
    "unlearners": {"dmm": "dm_direct"},
    "judges": {"klom": {"n_resamples": 20}},
}
# An eighth, a quarter, a half and all of both populations, but at least 8 of each.
SIZES = [8 + 8, 16 + 8, 32 + 16, 64 + 32]
KEPT = ["populations.subset.n_models=8", "populations.designed.n_models=8"]
BROKEN = (
    "from pipeline.attribution.ridge import Ridge\n\nclass Broken(Ridge):\n    def factor(self, evidence):\n "
    "       raise ValueError('poisoned')\n"
)


@pytest.fixture(autouse=True)
def many(dmm: Dmm, tmp_path: Path) -> None:
    """Write as tiny.yaml the tiny experiment with more subset models and the least of everything else."""
    (tmp_path / "tiny.yaml").write_text(
        yaml.safe_dump(TINY | OF_ONE_SET | {"populations": MANY}, sort_keys=False)
    )


def members(root: Path) -> Iterator[str]:
    """Yield every subset model that was trained, as often as it was."""
    for name in tables(root):
        if name.startswith(("train/subset", "train/designed")):
            _, start, stop = name.split("/")[-1].split("-")
            yield from (f"{name.split('/')[1]} {member}" for member in range(int(start), int(stop[:6])))


def test_a_tolerance_that_nothing_reaches_stops_at_an_eighth(dmm: Dmm, tmp_path: Path) -> None:
    status, out, err = dmm(*serial("run", "--until-enough", "--tolerance", "9"))
    enough = answer(out)["enough"]
    assert (status, enough["n_models"], enough["wanted"], enough["tolerance"]) == (0, SIZES[0], SIZES[-1], 9)
    assert enough["lds_gained_by_last_doubling"] < 9
    assert f"{SIZES[0]} of {SIZES[-1]} subset models are enough" in " ".join(err.split())
    assert f"--set {KEPT[0]} --set {KEPT[1]} to later commands; without it they train the rest" in " ".join(
        err.split()
    )
    assert answer(out)["enough"]["set"] == KEPT
    assert answer(out)["complete"]
    assert len(list(members(tmp_path / "store"))) == SIZES[0]


def test_a_tolerance_that_everything_reaches_takes_all_and_trains_nothing_twice(
    dmm: Dmm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gain is fixed here: whether a doubling of tiny models helps is chance."""
    monkeypatch.setattr(
        CurveNode, "_score", lambda *given: {"n_models": 1.0, "lds": given[-1], "low": 0.0, "high": 1.0}
    )
    status, out, err = dmm(*serial("run", "--until-enough", "--tolerance", "0.4", "--until", "score"))
    assert (status, answer(out)["enough"]["n_models"]) == (0, SIZES[-1])
    assert answer(out)["enough"]["lds_gained_by_last_doubling"] == 0.5
    assert "so more would help" in " ".join(err.split())
    for size in SIZES:
        assert f"Checking whether {size} subset models are enough" in " ".join(err.split())
    trained = list(members(tmp_path / "store"))
    assert len(trained) == len(set(trained)) == SIZES[-1]


def test_asked_again_it_answers_the_same_and_computes_nothing(dmm: Dmm, tmp_path: Path) -> None:
    asked = serial("run", "--until-enough", "--tolerance", "9", "--until", "score")
    first = answer(dmm(*asked)[1])
    before = tables(tmp_path / "store")
    again = answer(dmm(*asked)[1])
    assert again["enough"] == first["enough"]
    assert (again["n_models_made"], tables(tmp_path / "store")) == (0, before)


def test_later_commands_say_what_they_would_train_and_given_the_settings_train_nothing(dmm: Dmm) -> None:
    kept = [word for setting in KEPT for word in ("--set", setting)]
    dmm(*serial("run", "--until-enough", "--tolerance", "9", "--until", "score"))
    status, out, _ = dmm("export", "tiny.yaml", "--to", "matrix.npy", "--store", "store", "--json")
    assert (
        status,
        f"{SIZES[-1] - SIZES[0]} models to train; if `dmm run --until-enough` used fewer"
        in answer(out)["error"],
    ) == (1, True)
    status, _, err = dmm(*serial("attribute", "--target", "3", *kept))
    assert (status, "to train" in err) == (0, False)


def test_populations_too_small_to_double_are_asked_about_once(dmm: Dmm) -> None:
    few = ["--set", "populations.subset.n_models=9", "--set", "populations.designed.n_models=8"]
    status, _, err = dmm(*serial("run", "--until-enough", "--tolerance", "0.0001", "--until", "score", *few))
    said = " ".join(err.split())
    assert (status, said.count("Checking whether 16 subset models are enough")) == (0, 1)
    assert "17 of 17" not in said


def test_when_all_are_used_none_are_said_to_be_enough(open_tiny: Callable[..., Session]) -> None:
    all_used = Enough(session=open_tiny(), n_models=30, wanted=30, gain=0.001, tolerance=0.01)
    assert str(all_used) == (
        "all 30 subset models are used: the last doubling gained +0.0010 LDS, below 0.01, so more would "
        "hardly help"
    )


def poisoned(monkeypatch: pytest.MonkeyPatch, role: str) -> None:
    """Let every shard of one role fail."""
    compute = Population.compute

    def fail(self: Population, work: Work) -> Any:
        if self.role == role:
            raise ValueError("poisoned")
        return compute(self, work)

    monkeypatch.setattr(Population, "compute", fail)


def test_where_subset_models_fail_nobody_knows_and_none_are_judged(
    dmm: Dmm, monkeypatch: pytest.MonkeyPatch
) -> None:
    poisoned(monkeypatch, "designed")
    status, out, err = dmm(*serial("run", "--until-enough"))
    assert status == 1
    assert answer(out)["enough"] == {
        "n_models": SIZES[0],
        "wanted": SIZES[-1],
        "lds_gained_by_last_doubling": None,
        "tolerance": 0.01,
        "set": KEPT,
    }
    assert {failure["node"] for failure in answer(out)["failures"]} == {"train/designed"}
    assert answer(out)["results"] == []
    assert "their score is unknown, because shards failed" in " ".join(err.split())


def test_a_failure_that_passes_leaves_the_question_open(dmm: Dmm, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trap of the second walk that mends what the first could not.

    With an eighth of the models it would end as if they were enough.
    """
    from pipeline.attribution.linear.kernel import GroupKernel

    factor, calls = GroupKernel.factor, []

    def fail_at_first(self: GroupKernel, evidence: Any) -> Any:
        calls.append(len(evidence.masks))
        if len(calls) <= TRIES:
            raise ValueError("out of memory")
        return factor(self, evidence)

    monkeypatch.setattr(GroupKernel, "factor", fail_at_first)
    status, out, _ = dmm(*serial("run", "--until-enough", "--tolerance", "9"))
    assert (status, answer(out)["enough"]["lds_gained_by_last_doubling"], answer(out)["results"]) == (
        1,
        None,
        [],
    )
    status, out, _ = dmm(*serial("run", "--until-enough", "--tolerance", "9"))
    assert (status, answer(out)["enough"]["n_models"], len(answer(out)["results"])) == (0, SIZES[0], 1)


def test_failures_elsewhere_do_not_hide_the_score(dmm: Dmm, monkeypatch: pytest.MonkeyPatch) -> None:
    poisoned(monkeypatch, "oracle")
    status, out, _ = dmm(*serial("run", "--until-enough", "--tolerance", "9"))
    assert (status, answer(out)["enough"]["n_models"]) == (1, SIZES[0])
    assert answer(out)["enough"]["lds_gained_by_last_doubling"] is not None
    assert {failure["node"] for failure in answer(out)["failures"]} == {"train/oracle/some"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tolerance", "0"], "--tolerance 0.0 must be above 0 and finite"),
        (["--tolerance", "-1"], "--tolerance -1.0 must be above 0"),
        (["--tolerance", "nan"], "--tolerance nan must be above 0"),
        (["--tolerance", "inf"], "--tolerance inf must be above 0 and finite"),
        (["--set", "populations.heldout=null"], "needs held-out models"),
        (["--set", "unlearners={nothing: no_op}"], "an unlearner that uses it"),
        (["--until", "trian"], "unknown stage 'trian'"),
        (["--executor", "dask"], "unknown executor 'dask'"),
        (
            [
                "--set",
                "estimator.name=lasso",
                "--set",
                "estimator.heldout_share=0.75",
                "--set",
                "populations.designed=null",
            ],
            "leaves 1 of 3 models to fit",
        ),
        (["--set", "estimator.name=needless:Needless"], "an estimator of subset models"),
        (
            ["--set", "populations.heldout.n_models=2"],
            "populations.heldout: n_models is 2; at least 3 models",
        ),
    ],
)
def test_what_cannot_be_answered_is_refused_before_anything_is_written(
    dmm: Dmm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    (tmp_path / "needless.py").write_text(
        "from pipeline.attribution.ridge import Ridge\n\nclass Needless(Ridge):\n    needs = frozenset()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    status, out, _ = dmm(*serial("run", "--until-enough", *arguments))
    assert status == 2
    assert message in answer(out)["error"]
    assert not (tmp_path / "store").exists()
