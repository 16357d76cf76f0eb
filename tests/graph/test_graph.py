"""Identities and states of nodes: which share a folder, which become stale and which never do."""

from collections.abc import Callable

import pytest
from tiny import run_serially, statuses, tables

from jobs.session import Session
from pipeline.attribution.linear.kernel import GroupKernel
from pipeline.data.datasets.planted import Planted
from pipeline.data.forget_sets.random import Random
from pipeline.evaluation.judges.klom_judge import KlomJudge
from pipeline.models.mlp import Mlp
from pipeline.unlearning.matching import Dmm

Open = Callable[..., Session]
JUDGES = ("klom", "accuracy")
VERDICTS_ON_DMM = {f"evaluate/{judge}/dmm/{label}" for judge in JUDGES for label in ("some", "wrong")}


def folders(session: Session) -> dict[str, str | None]:
    return {key: state.folder for key, state in session.graph.survey(session.store).items()}


def not_done(session: Session) -> set[str]:
    return {key for key, status in statuses(session).items() if status != "done"}


def test_before_anything_runs_roots_are_missing_and_the_rest_waits(open_tiny: Open) -> None:
    found = statuses(open_tiny())
    assert found["train/subset"] == "missing"
    assert found["train/oracle/some"] == "missing"
    assert found["factor"] == found["report"] == "waiting"


def test_folders_stay_those_of_the_second_identity(open_tiny: Open) -> None:
    found = folders(open_tiny())
    assert found["train/subset"] == "train/subset-85e182260962cdbf/c4e2299756d559e0"
    assert found["train/oracle/some"] == "train/oracle-cee448618c5418f7/c4e2299756d559e0"
    assert found["forget/some"] == "forget/random-8a09cd2e7a00995e/c59b9624407aa1db"
    assert found["unlearn/ascent/wrong"] == "unlearn/gradient_ascent-e835cf53cc8d2db5/8e0033b840c9ec54"


def test_surveying_writes_nothing(open_tiny: Open) -> None:
    session = open_tiny()
    statuses(session)
    assert not tables(session.store.uri)
    assert session.store.files.names("") == []


def test_two_labels_with_equal_settings_share_everything(open_tiny: Open) -> None:
    rule = {"name": "random", "n_points": 5}
    session = open_tiny(forget_sets={"mine": rule, "yours": rule})
    found = folders(session)
    for name in ("train/oracle", "train/floor", "unlearn/ascent", "forget"):
        assert found[f"{name}/mine"] == found[f"{name}/yours"]


def test_rules_that_resolve_to_the_same_ids_share_oracles(open_tiny: Open) -> None:
    session = open_tiny()
    ids = session.experiment.forget_sets["some"].select(session.examples, None).tolist()
    other = open_tiny(forget_sets={"by_hand": {"name": "indices", "ids": ids}})
    assert folders(other)["train/oracle/by_hand"] == folders(session)["train/oracle/some"]
    assert folders(session)["train/oracle/some"] != folders(session)["train/oracle/wrong"]


def test_a_set_that_needs_models_waits_for_them(open_tiny: Open) -> None:
    session = open_tiny(forget_sets={"hard": {"name": "hardest", "n_points": 4}})
    assert statuses(session)["train/oracle/hard"] == "waiting"
    run_serially(session, until="train")
    assert statuses(session)["forget/hard"] == statuses(session)["train/oracle/hard"] == "done"


@pytest.mark.usefixtures("finished")
def test_growing_trains_only_what_is_new_and_shows_the_rest_stale(open_tiny: Open) -> None:
    before = tables(open_tiny().store.uri)
    grown = open_tiny("populations.subset.n_models=23", "store.shard_members=4")
    found = statuses(grown)
    assert found["train/subset"] == "partial"
    assert {
        found[key]
        for key in ("factor", "fit", "effect/some", "unlearn/dmm/some", "evaluate/klom/dmm/some", "report")
    } <= {"stale", "missing"}
    assert found["fit"] == found["effect/some"] == found["evaluate/klom/dmm/some"] == "stale"
    assert found["unlearn/ascent/some"] == found["evaluate/klom/nothing/wrong"] == "done"
    progress = run_serially(grown)
    new = [name for name in tables(grown.store.uri) - before if name.startswith("train/")]
    assert sum(int(name.split("-")[-1][:6]) - int(name.split("-")[-2]) for name in new) == 3
    assert before <= tables(grown.store.uri)
    assert not progress.failures
    assert not not_done(grown)


@pytest.mark.usefixtures("finished")
@pytest.mark.parametrize(
    ("plugin", "stale"),
    [
        (
            GroupKernel,
            {
                "factor",
                "fit",
                "score",
                "curve",
                "forget_curve",
                "effect/some",
                "effect/wrong",
                "influences",
                "unlearn/dmm/some",
                "unlearn/dmm/wrong",
                *VERDICTS_ON_DMM,
                "report",
            },
        ),
        (Dmm, {"unlearn/dmm/some", "unlearn/dmm/wrong", *VERDICTS_ON_DMM, "report"}),
        (
            KlomJudge,
            {
                f"evaluate/klom/{method}/{label}"
                for method in ("floor", "nothing", "dmm", "ascent")
                for label in ("some", "wrong")
            }
            | {"report"},
        ),
        (Random, {"forget/some"}),
    ],
)
def test_a_raised_revision_makes_exactly_its_descendants_stale(
    open_tiny: Open, monkeypatch: pytest.MonkeyPatch, plugin: type, stale: set[str]
) -> None:
    monkeypatch.setattr(plugin, "revision", plugin.revision + 1)
    found = statuses(open_tiny())
    assert {key for key, status in found.items() if status == "stale"} == stale
    assert {key for key, status in found.items() if status != "done"} == stale


@pytest.mark.usefixtures("finished")
@pytest.mark.parametrize("plugin", [Mlp, Planted])
def test_a_raised_revision_at_the_root_makes_everything_stale(
    open_tiny: Open, monkeypatch: pytest.MonkeyPatch, plugin: type
) -> None:
    monkeypatch.setattr(plugin, "revision", plugin.revision + 1)
    done = {key for key, status in statuses(open_tiny()).items() if status == "done"}
    assert done == (set() if plugin is Planted else {"forget/some", "forget/wrong"})


@pytest.mark.usefixtures("finished")
def test_a_setting_of_a_judge_retrains_nothing(open_tiny: Open) -> None:
    session = open_tiny("judges.klom.n_bins=10")
    assert {key.split("/")[0] for key in not_done(session)} == {"evaluate", "forget_curve", "report"}
    assert run_serially(session).n_models_made == 0


@pytest.mark.usefixtures("finished")
def test_an_estimator_setting_trains_no_population(open_tiny: Open) -> None:
    session = open_tiny("estimator.name=ridge", "estimator.effect_penalty=0.2")
    assert not {
        key for key in not_done(session) if key.startswith(("train", "unlearn/ascent", "unlearn/nothing"))
    }


def test_another_seed_is_another_experiment(open_tiny: Open) -> None:
    assert not set(folders(open_tiny())["train/subset"].split("/")) & {
        folders(open_tiny("seed=1"))["train/subset"].split("/")[1]
    }


def test_changed_data_makes_everything_stale(open_tiny: Open, tmp_path) -> None:
    import numpy as np

    rng = np.random.default_rng(0)

    def write(shift: float) -> None:
        inputs = (rng.normal(size=(80, 4)) + shift).astype(np.float32)
        labels = np.arange(80) % 3
        np.savez(
            tmp_path / "data.npz",
            train_inputs=inputs[:60],
            train_labels=labels[:60],
            validation_inputs=inputs[60:],
            validation_labels=labels[60:],
        )

    mine = {
        "dataset": {"name": "npz", "path": str(tmp_path / "data.npz")},
        "forget_sets": {"some": {"name": "random", "n_points": 5}},
    }
    write(0.0)
    run_serially(open_tiny(**mine))
    assert not not_done(open_tiny(**mine))
    write(1.0)
    assert set(statuses(open_tiny(**mine)).values()) == {"stale"}
