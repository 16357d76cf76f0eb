"""The memory of a task and the choices that are made once.

Tests cover sizes under simulated memory limits, and models that run one by one.
"""

import json
from types import SimpleNamespace

import pytest
from tiny import TINY, all_done, run_serially

from pipeline.graph import shard_task
from pipeline.training import ensemble

FULL = frozenset({"train/full"})
AUTO = {"recipe": {"epochs": 2, "batch_size": 10, "learning_rate": 0.1, "ensemble": "auto"}}


def choices(session):
    """Return what was chosen for the recipes of a store."""
    return [json.loads(path.read_text()) for path in (session.store.folder / "ensembles").iterdir()]


def logits_of(session, key="train/full"):
    table = session.graph.survey(session.store)[key].table
    return session.store.read(table, ["logits_00000"])["logits_00000"]


def granting(monkeypatch, n_bytes):
    monkeypatch.setattr(shard_task, "memory_granted", lambda *_, **__: n_bytes)


@pytest.mark.parametrize(("n_bytes", "batch"), [(2**30, 2048), (200_000, 256), (1, 16)])
def test_the_batch_of_evaluation_follows_the_memory_of_whoever_comes_first(
    open_tiny, monkeypatch, n_bytes, batch
):
    granting(monkeypatch, n_bytes)
    session = open_tiny()
    assert all_done(run_serially(session, wanted=FULL))
    assert [choice["evaluation_batch"] for choice in choices(session)] == [batch]


def test_it_stays_what_was_chosen_whatever_others_are_granted(open_tiny, monkeypatch):
    session, sizes = open_tiny(), []
    run_serially(session, wanted=FULL)
    granting(monkeypatch, 1)
    evaluated = ensemble.sizing.evaluation_batch
    monkeypatch.setattr(ensemble.sizing, "evaluation_batch", lambda: sizes.append(evaluated()) or sizes[-1])
    run_serially(session, until="train")
    assert set(sizes) == {2048}


def test_whatever_runs_proxies_evaluates_as_was_chosen_when_they_were_trained(open_tiny, monkeypatch):
    scouts = {
        "n_models": 2,
        "model": {"name": "mlp", "width": 4},
        "recipe": {"epochs": 1, "batch_size": 20, "ensemble": "looped"},
    }
    unlearners = {
        "dmm": TINY["unlearners"]["dmm"],
        "ascent": {"name": "gradient_ascent", "epochs": 1, "start": "scout"},
    }
    session, found, choose = (
        open_tiny(
            populations=TINY["populations"] | {"scout": scouts},
            unlearners=unlearners,
            judges={"klom": {"n_resamples": 20}},
        ),
        {},
        shard_task._ensemble,
    )
    monkeypatch.setattr(shard_task, "largest_evaluation_batch", lambda *_: 64)
    monkeypatch.setattr(
        shard_task, "_ensemble", lambda task, *rest: found.setdefault(task.node.key, choose(task, *rest))
    )
    run_serially(session, until="unlearn")
    keys = ("train/scout", "groups", "factor", "fit", "effect/some", "influences", "unlearn/ascent/some")
    assert {key: found[key][2] for key in keys if key in found} == dict.fromkeys(keys, 64)
    assert (found["unlearn/ascent/some"][0], found["unlearn/dmm/some"][0]) == ("looped", "stacked")


def test_a_choice_of_before_means_the_batch_of_then(open_tiny, monkeypatch):
    session = open_tiny()
    run_serially(session, wanted=FULL)
    (path,) = (session.store.folder / "ensembles").iterdir()
    path.write_text(json.dumps({"kind": "stacked", "reason": "set by recipe.ensemble"}))
    granting(monkeypatch, 1)
    assert all_done(run_serially(session, until="train"))


@pytest.mark.parametrize("n_bytes", [300_000, 1])
def test_members_are_the_same_under_any_limit(open_tiny, monkeypatch, tmp_path, n_bytes):
    """With 1 byte, members run alone beside their twins; 80 points are evaluated in batches of 16."""
    usual, limited = open_tiny(), open_tiny(store=tmp_path / "limited")
    run_serially(usual, wanted=FULL)
    granting(monkeypatch, n_bytes)
    run_serially(limited, wanted=FULL)
    assert abs(logits_of(usual) - logits_of(limited)).max() < 1e-5


def test_a_trial_that_does_not_fit_falls_back_and_says_so(open_tiny, monkeypatch):
    granting(monkeypatch, 1)
    session = open_tiny(**AUTO)
    progress = run_serially(session, wanted=FULL)
    assert all_done(progress)
    piece = progress.states["train/full"].pieces[0]
    side = session.store.side(progress.states["train/full"].folder, piece.shard)
    assert (side["ensemble"], side["ensemble_reason"]) == ("looped", "memory does not hold 2 members at once")


def test_another_kind_of_device_chooses_for_itself(open_tiny, monkeypatch):
    session = open_tiny()
    monkeypatch.setattr(shard_task.torch.cuda, "get_device_name", lambda device: f"GPU at {device}")
    model, recipe = session.experiment.model, session.experiment.recipe
    task = SimpleNamespace(folder="train/some/where")
    places = {
        shard_task._decision(task, model, recipe, session.examples, device)
        for device in ("cpu", "cuda:0", "cuda:1")
    }
    assert len(places) == 3
    other = shard_task._decision(
        task, model, recipe.model_copy(update={"epochs": 77}), session.examples, "cpu"
    )
    assert other not in places


def test_an_unlearner_that_cannot_be_stacked_runs_one_by_one_with_a_word(open_tiny):
    session = open_tiny(unlearners={"slow": {"name": "finetune", "epochs": 1, "optimizer": "adafactor"}})
    progress = run_serially(session, until="unlearn")
    state = progress.states["unlearn/slow/some"]
    side = session.store.side(state.folder, state.pieces[0].shard)
    assert side["ensemble"] == "looped"
    assert side["ensemble_reason"].startswith("optimizer adafactor is not element-wise")
