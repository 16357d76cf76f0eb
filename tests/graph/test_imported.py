"""Models trained elsewhere give the same datamodels as models trained here, and cost nothing.

They are checked before anything is computed.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from tiny import TINY, all_done, run_serially, statuses

from jobs.running import planning
from jobs.running.progress_display import counts_in_words
from jobs.running.run_counts import Watcher
from jobs.session import Session
from pipeline import config
from pipeline.core.errors import ConfigError, DataError
from pipeline.data.masks import unpack
from pipeline.evaluation.margins import margins
from pipeline.execution.missing_tasks import tasks_of
from pipeline.execution.progress import Progress
from pipeline.graph.logits_layout import read_logits
from pipeline.graph.shard_task import compute_task
from pipeline.sources import madrylab
from pipeline.sources.madrylab import MadryLab

Open = Callable[..., Session]

RIDGE = {"estimator": {"name": "ridge"}}
ALONE = TINY["populations"] | {"designed": None, "n_seeds": None}
NOTHING = {"nothing": "no_op"}


def export(
    session: Session,
    folder: Path,
    *,
    unfinished: int = 2,
    as_margins: bool = False,
    roles: tuple[str, ...] = ("subset",),
) -> Path:
    """Write trained populations as `datamodels` does, with rows of garbage for unfinished models."""
    states, examples = session.graph.survey(session.store), session.examples
    tables = [states[f"train/{role}"].table for role in roles]
    masks = np.concatenate(
        [unpack(session.store.read(table, ["mask"])["mask"], examples.n_train) for table in tables]
    )
    logits = np.concatenate(
        [
            read_logits(session.store, table, session.experiment.store.layout, examples.n_points)
            for table in tables
        ]
    )
    rows = np.arange(len(masks)) + np.minimum(np.arange(len(masks)), unfinished)
    n_rows = len(masks) + unfinished
    outputs = margins(logits, examples.labels) if as_margins else logits
    arrays = {
        "masks": (masks, np.zeros((n_rows, examples.n_train), np.uint8)),
        "margins" if as_margins else "logits": (
            outputs,
            np.full((n_rows, *outputs.shape[1:]), np.nan, np.float32),
        ),
        "_completed": (np.ones(len(masks), bool), np.zeros(n_rows, bool)),
    }
    folder.mkdir(exist_ok=True)
    for name, (values, array) in arrays.items():
        array[rows] = values
        np.save(folder / f"{name}.npy", array)
    return folder


def invent(folder: Path) -> Path:
    """Write 22 models of random masks and logits, 20 of which are finished."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    np.save(folder / "masks.npy", rng.integers(0, 2, (22, 60), np.uint8))
    np.save(folder / "logits.npy", rng.normal(size=(22, 80, 3)).astype(np.float16))
    np.save(folder / "_completed.npy", np.arange(22) % 11 != 5)
    return folder


def importing(folder: Path, **heldout: object) -> dict[str, object]:
    """Return populations whose subset models are recorded in a folder.

    With heldout, the held-out models are recorded there too.
    """
    records = {"name": "madrylab", "folder": str(folder)}
    beside = {"heldout": {"n_models": 6, "source": records | heldout}} if heldout else {}
    return ALONE | {"subset": {"source": records, "keep_fraction": 0.5}} | beside


def read(session: Session, key: str) -> dict[str, np.ndarray]:
    return session.store.read(session.graph.survey(session.store)[key].table)


@pytest.fixture
def trained(open_tiny: Open) -> Session:
    session = open_tiny(**RIDGE, populations=ALONE)
    assert not run_serially(session, until="effect").failures
    return session


def test_imported_models_give_the_datamodels_of_trained_ones(
    open_tiny: Open, trained: Session, tmp_path: Path
) -> None:
    session = open_tiny(**RIDGE, populations=importing(export(trained, tmp_path / "records")))
    assert session.graph.nodes["train/subset"].n_units == 20
    progress = run_serially(session, until="effect")
    assert (progress.failures, progress.n_models_made) == ([], 0)
    for key in ("fit", "effect/some", "effect/wrong", "score"):
        ours, theirs = read(session, key), read(trained, key)
        assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)


def test_imported_models_cost_nothing_here(open_tiny: Open, tmp_path: Path) -> None:
    plan = planning.planned_work(open_tiny(**RIDGE, populations=importing(invent(tmp_path / "records"))))
    row = next(row for row in plan["nodes"] if row["node"] == "train/subset")
    assert (row["retrainings"], row["wanted"], plan["break_even_requests"]) == (0.0, 20, 0.0)


def test_a_whole_experiment_runs_on_imported_models(open_tiny: Open, tmp_path: Path) -> None:
    session = open_tiny(**RIDGE, populations=importing(invent(tmp_path / "records")))
    assert all_done(run_serially(session, until="evaluate"))


def test_margins_alone_can_be_scored(open_tiny: Open, trained: Session, tmp_path: Path) -> None:
    folder = export(trained, tmp_path / "records", as_margins=True, roles=("subset", "heldout"))
    populations = importing(folder, skip=20)
    populations["subset"] |= {"n_models": 20}
    session = open_tiny(**RIDGE, populations=populations, unlearners=NOTHING)
    assert not [key for key in session.graph.nodes if key.startswith("effect")]
    assert not run_serially(session, until="score").failures
    ours, theirs = read(session, "fit"), read(trained, "fit")
    assert ours["heldout_margins"] == pytest.approx(theirs["heldout_margins"], abs=1e-4)
    assert ours["r2"] == pytest.approx(theirs["margin_r2"], abs=1e-4)
    summaries = [one.store.summary(one.graph.survey(one.store)["score"].table) for one in (session, trained)]
    assert summaries[0]["lds"] == pytest.approx(summaries[1]["lds"], abs=1e-3)
    assert summaries[0]["r2_logits"] is None


def test_margins_alone_are_refused_where_effects_are_wanted(open_tiny: Open, tmp_path: Path) -> None:
    folder = invent(tmp_path / "records")
    np.save(folder / "margins.npy", np.load(folder / "logits.npy")[:, :, 0])
    (folder / "logits.npy").unlink()
    with pytest.raises(ConfigError, match=r"unlearners\.dmm needs effects on the logits"):
        open_tiny(**RIDGE, populations=importing(folder))


def test_other_content_makes_what_rests_on_it_stale(open_tiny: Open, tmp_path: Path) -> None:
    folder = invent(tmp_path / "records")
    run_serially(open_tiny(**RIDGE, populations=importing(folder)), until="effect")
    logits = np.lib.format.open_memmap(folder / "logits.npy", mode="r+")
    logits[5] = 7.0  # a row that is not finished
    madrylab._look_at.cache_clear()
    assert statuses(open_tiny(**RIDGE, populations=importing(folder)))["train/subset"] == "done"
    logits[0, 3, 1] += 1
    madrylab._look_at.cache_clear()
    found = statuses(open_tiny(**RIDGE, populations=importing(folder)))
    assert {found[key] for key in ("train/subset", "factor", "fit", "effect/some")} == {"stale"}
    assert found["train/full"] == "done"


def test_models_that_differ_where_they_are_read_are_refused(open_tiny: Open, tmp_path: Path) -> None:
    """The shard of a model that is another one on the worker is refused.

    Shards of the other models are not.
    """
    folder = invent(tmp_path / "records")
    session = open_tiny("store.shard_members=4", **RIDGE, populations=importing(folder))
    state = session.graph.survey(session.store)["train/subset"]
    tasks = tasks_of(state, [(0, 20)], graph=session.graph, store=session.store, mark=session.store.claim())
    damage("logits.npy", lambda logits: logits + (np.arange(22) == 7)[:, None, None])(
        folder
    )  # model 6: row 5 is not finished
    said = (
        r"train/subset: what .*records holds of unit 6 changed since the run began, or differs on this "
        r"machine"
    )
    with pytest.raises(DataError, match=said):
        compute_task(tasks[1], session.examples, "cpu")
    assert [compute_task(task, session.examples, "cpu")["made"] for task in (tasks[0], tasks[2])] == [
        True,
        True,
    ]


def test_held_out_models_must_be_others(open_tiny: Open, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="5 of 5 held-out models are also among the 20"):
        open_tiny(**RIDGE, populations=importing(invent(tmp_path / "records"), skip=15))


def test_outputs_may_lie_in_a_file_for_each_split(tmp_path: Path) -> None:
    folder = invent(tmp_path / "records")
    whole = MadryLab(folder=folder).read_outputs(3, 9)
    logits = np.load(folder / "logits.npy")
    np.save(folder / "train.npy", logits[:, :60])
    np.save(folder / "val.npy", logits[:, 60:])
    assert np.array_equal(MadryLab(folder=folder, outputs=("train.npy", "val.npy")).read_outputs(3, 9), whole)


def test_only_finished_models_count(tmp_path: Path) -> None:
    records = MadryLab(folder=invent(tmp_path / "records"), skip=4)
    finished = np.flatnonzero(np.arange(22) % 11 != 5)[4:]
    assert records.n_models() == 16
    assert np.array_equal(
        records.read_masks(0, 16), np.load(tmp_path / "records" / "masks.npy")[finished] == 1
    )


def damage(name: str, change: Callable[[np.ndarray], np.ndarray | None]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        array = np.load(folder / name)
        changed = change(array)
        np.save(folder / name, array if changed is None else changed, allow_pickle=True)

    return apply


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (damage("masks.npy", lambda masks: masks[:, 1:]), "over 59 training points, the data set has 60"),
        (
            damage("masks.npy", lambda masks: masks.astype(float)),
            "expected 2 dimensions of booleans or integers",
        ),
        (damage("masks.npy", lambda masks: masks * 3), "holds 0 to 3; expected 0 and 1"),
        (damage("masks.npy", lambda masks: masks * 0), "keeps no training point"),
        (damage("logits.npy", lambda logits: logits[:, 1:]), "expected logits"),
        (damage("logits.npy", lambda logits: logits * np.inf), "row 0 has outputs that are NaN or infinite"),
        (damage("logits.npy", lambda logits: logits[:-1]), "files of 21, 22 models"),
        (damage("logits.npy", lambda logits: logits.astype(object)), "cannot be mapped"),
        (
            damage("_completed.npy", lambda completed: completed & (np.arange(22) < 2)),
            "has 2 finished models",
        ),
        (lambda folder: (folder / "masks.npy").unlink(), "No such file"),
        (
            damage("_completed.npy", lambda completed: np.arange(len(completed))),
            "holds 0 to 21; expected 1 for each finished row",
        ),
        (
            damage("masks.npy", np.ones_like),
            "all masks keep every training point, so no effect of a point shows",
        ),
        (
            damage("masks.npy", lambda masks: np.tile(np.arange(masks.shape[1]) % 2, (len(masks), 1))),
            "all masks are equal, so no effect",
        ),
        (
            lambda folder: (folder / "_completed.npy").unlink(),
            r"make it with numpy.save\('.*_completed.npy', numpy.ones\(22, bool\)\)",
        ),
        (lambda folder: (folder / "logits.npy").unlink(), "neither logits.npy nor margins.npy"),
    ],
)
def test_records_that_cannot_be_used_are_refused_before_compute(
    open_tiny: Open, tmp_path: Path, spoil: Callable[[Path], None], said: str
) -> None:
    folder = invent(tmp_path / "records")
    open_tiny(**RIDGE, populations=importing(folder))
    madrylab._look_at.cache_clear()
    with np.errstate(invalid="ignore"):
        spoil(folder)
    with pytest.raises(DataError, match=said):
        open_tiny(**RIDGE, populations=importing(folder))


def test_records_are_settings_like_any_other(open_tiny: Open, tmp_path: Path) -> None:
    populations = importing(invent(tmp_path / "records"), skip=14)
    populations["subset"] |= {"n_models": 14}
    experiment = open_tiny(**RIDGE, populations=populations).experiment
    assert config.build(yaml.safe_load(experiment.to_yaml())) == experiment
    assert (
        open_tiny(populations=ALONE | {"subset": {"source": None}}).experiment.populations.subset.n_models
        == 1000
    )
    with pytest.raises(ConfigError, match=r"unknown source 'madrylb'.* Did you mean 'madrylab'"):
        open_tiny("populations.subset.source=madrylb")


def test_models_of_a_source_are_read_not_trained_in_progress(open_tiny: Open, tmp_path: Path) -> None:
    session = open_tiny(**RIDGE, populations=importing(invent(tmp_path / "records")))
    states = session.graph.survey(session.store)
    found = counts_in_words(Progress(states=states, wanted=frozenset(states)))
    trained = [node for node in session.graph.nodes.values() if node.stage == "train" and node.trains]
    n_trained = sum(node.n_units for node in trained)
    assert (found["read models"].wanted, found["read models"].makes_models) == (20, False)
    assert (found["train models"].wanted, found["train models"].makes_models) == (n_trained, True)
    looks = {one.title: (one.stage, one.wanted) for one in Watcher(session).look().stages}
    assert looks["read models"] == ("train", 20)
    assert looks["train models"] == ("train", n_trained)
