"""A matrix in a file replaces subset models.

Exported datamodels that are read back give the same unlearning at no cost.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tiny import TINY, all_done, run_serially, statuses

from jobs.answers.matrix_export import export_matrix
from jobs.options import screen
from jobs.running import planning
from jobs.running.experiment_run import publish_report
from jobs.session import Session
from pipeline.attribution import matrix_file
from pipeline.core.errors import ConfigError, DataError, MissingShardsError
from pipeline.tracking.attribution_page import attribution_results

Open = Callable[..., Session]

# One penalty for predictions and effects, so that weights say all there is.
RIDGE = {"name": "ridge", "penalty": 0.1, "effect_penalty": 0.1}
POPULATIONS = TINY["populations"] | {"designed": None}


def read(session: Session, key: str) -> dict[str, np.ndarray]:
    return session.store.read(session.graph.survey(session.store)[key].table)


@pytest.fixture
def fitted(open_tiny: Open) -> Session:
    session = open_tiny(estimator=RIDGE, populations=POPULATIONS)
    assert not run_serially(session, until="effect").failures
    return session


def invent(path: Path, shape: tuple[int, ...] = (60, 80, 3)) -> Path:
    (0.01 * np.random.default_rng(0).normal(size=shape)).astype(np.float16).tofile(path)
    return path


@pytest.mark.parametrize("name", ["weights.f32", "weights.npy", "weights.parquet"])
def test_exported_datamodels_read_back_have_the_same_effects(
    open_tiny: Open, fitted: Session, tmp_path: Path, name: str
) -> None:
    told = export_matrix(fitted, str(tmp_path / name), dtype="float32")
    assert told["shape"] == [60, 80, 3]
    session = open_tiny(
        estimator={"name": "file", "path": told["path"], "dtype": "float32"}, populations=POPULATIONS
    )
    assert not run_serially(session, until="effect").failures
    for key in ("effect/some", "effect/wrong"):
        assert read(session, key)["mean"] == pytest.approx(read(fitted, key)["mean"], abs=1e-5)
    assert session.store.summary(session.graph.survey(session.store)["score"].table)["lds"] == pytest.approx(
        fitted.store.summary(fitted.graph.survey(fitted.store)["score"].table)["lds"], abs=0.1
    )


def test_a_whole_experiment_runs_on_a_file_and_trains_no_subset_models(
    open_tiny: Open, tmp_path: Path
) -> None:
    session = open_tiny(estimator={"name": "file", "path": str(invent(tmp_path / "weights"))})
    assert not {"train/subset", "train/designed", "train/scout", "groups", "curve"} & set(session.graph.nodes)
    assert planning.planned_work(session)["break_even_requests"] == 0
    progress = run_serially(session, until="evaluate")
    assert all_done(progress)
    (row, *_) = attribution_results(session.graph, session.store, progress.states, version="v").tables[
        "effects"
    ]
    assert set(row) == {"forget_set", "largest_change", "mean_change"}


def test_predictions_start_from_what_full_models_say(open_tiny: Open, tmp_path: Path) -> None:
    path = tmp_path / "weights"
    np.zeros((60, 80, 3), np.float16).tofile(path)
    session = open_tiny(estimator={"name": "file", "path": str(path)})
    run_serially(session, until="fit")
    logits = np.concatenate(
        [read(session, "train/full")[f"logits_{block:05d}"] for block in range(3)], axis=1
    )
    assert read(session, "fit")["everything"] == pytest.approx(logits.mean(axis=0), abs=1e-5)


def test_margins_are_scored_and_refused_where_effects_are_wanted(open_tiny: Open, tmp_path: Path) -> None:
    estimator = {"name": "file", "path": str(invent(tmp_path / "weights", (60, 80)))}
    session = open_tiny(estimator=estimator, unlearners={"nothing": "no_op"})
    assert not run_serially(session, draws=True).failures
    assert set(statuses(session).values()) == {"done"}
    page = publish_report(session, screen, session.graph.survey(session.store)["report"])
    assert "LDS on held-out models" in Path(str(page)).read_text()
    with pytest.raises(ConfigError, match="covers margins only"):
        open_tiny(estimator=estimator)


def test_other_weights_make_what_rests_on_them_stale(open_tiny: Open, tmp_path: Path) -> None:
    estimator = {"name": "file", "path": str(invent(tmp_path / "weights"))}
    run_serially(open_tiny(estimator=estimator), until="effect")
    changed = np.memmap(tmp_path / "weights", np.float16, "r+")
    changed[5] += 1
    matrix_file._look_at.cache_clear()
    found = statuses(open_tiny(estimator=estimator))
    assert {found[key] for key in ("factor", "fit", "effect/some", "score")} == {"stale"}
    assert found["train/full"] == found["train/heldout"] == "done"


def test_a_file_that_does_not_fit_is_found_before_compute(open_tiny: Open, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="compare dtype and the data set"):
        open_tiny(estimator={"name": "file", "path": str(invent(tmp_path / "weights", (60, 79, 3)))})


def test_an_export_overwrites_nothing_and_needs_a_fit(open_tiny: Open, tmp_path: Path) -> None:
    session = open_tiny(estimator=RIDGE, populations=POPULATIONS)
    with pytest.raises(MissingShardsError, match="run --until fit"):
        export_matrix(session, str(tmp_path / "weights"), dtype="float16")
    run_serially(session, until="fit")
    path = invent(tmp_path / "weights")
    with pytest.raises(DataError, match="exists already"):
        export_matrix(session, str(path), dtype="float16")
    with pytest.raises(ConfigError, match="expected float16 or float32"):
        export_matrix(session, str(tmp_path / "other"), dtype="int8")
    with pytest.raises(ConfigError, match="nowhere does not exist; make it"):
        export_matrix(session, str(tmp_path / "nowhere" / "x.npy"), dtype="float16")
    with pytest.raises(ConfigError, match="no datamodels of logits"):
        export_matrix(
            open_tiny(estimator=RIDGE, unlearners={"nothing": "no_op"}),
            str(tmp_path / "other"),
            dtype="float16",
        )
