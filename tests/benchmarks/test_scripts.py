"""Every script of this folder runs at its smallest size and prints what it must show.

So a changed interface is noticed here.
"""

import ast
import json
import os
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from unreliable import RefusingFiles

from pipeline.core.errors import StoreError
from pipeline.store.files import Files
from pipeline.store.files.local import LocalFiles

pytestmark = pytest.mark.heavy

Figures = dict[str, Any]

HERE = Path(__file__).parent
# These start and kill processes and Ray clusters, so each runs in a process of its own.
APART = ("chaos", "kill_and_resume")
ON_RAY = ("fit_scale", "scale", "training_stage")


def is_command(path: Path) -> bool:
    """Return whether a file has a main block, so it does something when it is run."""
    return any(
        isinstance(part, ast.If) and "__main__" in ast.unparse(part.test)
        for part in ast.parse(path.read_text()).body
    )


# Checks of the last object that a script prints, besides its name.
PROMISES: dict[str, Callable[[Figures], bool]] = {
    "chaos": lambda found: (
        found["identical"]
        and found["drivers_killed"] == found["nodes_killed"] == found["workers_killed"] == 1
    ),
    "convex": lambda found: found["worst_deviation_from_theorem_1"] < 1e-9 and len(found["one_draw"]) == 10,
    "fit_scale": lambda found: (
        found["n_blocks"] == 4
        and found["nodes"]["fit, streamed"]["tasks"] == found["nodes"]["fit, plain tasks"]["tasks"] == 4
    ),
    "focused": lambda found: (
        {"datamodel", "coupled_8_combined", "sparse_2_alone", "independent_4_combined"}
        <= set(found["mislabelled"])
    ),
    "forget_quality": lambda found: (
        {"dmm", "dm_direct", "oracle_matching", "floor"} <= set(found["default"]["by_kind"]["coherent"])
    ),
    "kill_and_resume": lambda found: (
        found["tables_equal"] and found["drivers_killed"] == found["workers_killed"] == 1
    ),
    "klom": lambda found: set(found["variants"]) == {"closed", "paper", "data-unlearning-bench", "easydub"},
    "klom_interval": lambda found: (
        len(found["cases"]) == 6 and 0 <= found["lowest_coverage"] <= found["highest_coverage"] <= 1
    ),
    "lds_digits": lambda found: found["estimator"] == "lassocv_seeds_out" and -1 <= found["lds"] <= 1,
    "ridge": lambda found: found["agreement"]["effects_max_relative_difference"] < 1e-3,
    "rivals": lambda found: (
        set(found["by_set"]) == {"coherent", "random", "mislabelled"}
        and "ga best" in found["by_set"]["random"]
    ),
    "scale": lambda found: (
        found["n_shards"] == 20 and found["efficiency_2_nodes"] > 0 and found["speedup_2_workers"] > 0
    ),
    "solvers": lambda found: (
        found["gaps"]["ours"]["refit_max"] <= 1e-4 and "batched_stopped" in found["seconds"]
    ),
    "streaming": lambda found: (
        found["identical"] and found["growth_mb"]["streamed"] < found["limit_mb"] < found["data_mb"]
    ),
    "training": lambda found: set(found["ms_a_model"]) == {"stacked", "looped", "plain", "plain_fused"},
    "training_stage": lambda found: (
        found["models"] > 0 and sum(found["shares"].values()) == pytest.approx(1, abs=0.01)
    ),
}


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """Restore the number of torch threads after each test, because scripts set it."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def check(script: str, printed: str) -> None:
    """Check the last line that a script printed."""
    found = json.loads(printed.splitlines()[-1])
    assert found["benchmark"] == script
    assert PROMISES[script](found), found


def run_here(script: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """Run a script at its smallest size in this process, and check what it printed."""
    monkeypatch.setattr(sys, "argv", [f"{script}.py", "--smallest"])
    runpy.run_path(str(HERE / f"{script}.py"), run_name="__main__")
    check(script, capfd.readouterr().out)


def test_every_script_is_run_by_this_test() -> None:
    assert set(PROMISES) == {path.stem for path in HERE.glob("*.py") if is_command(path)}


@pytest.mark.parametrize("script", sorted(set(PROMISES) - {*APART, *ON_RAY}))
def test_a_script_shows_what_it_is_there_for(
    script: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    run_here(script, monkeypatch, capfd)


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize("script", ON_RAY)
def test_a_script_on_ray_shows_what_it_is_there_for(
    script: str, ray_session: None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    run_here(script, monkeypatch, capfd)


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize("script", APART)
def test_a_script_that_kills_ends_with_the_tables_of_an_undisturbed_run(script: str) -> None:
    environment = os.environ | {"PYTHONPATH": str(HERE.parents[1])}
    command = [sys.executable, str(HERE / f"{script}.py"), "--smallest"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    check(script, done.stdout)


def test_files_that_refuse_say_so_and_change_nothing(tmp_path: Path) -> None:
    notes: list[str] = []
    files = RefusingFiles(LocalFiles(str(tmp_path)), 1, lambda event, _subject: notes.append(event))
    for change in (
        lambda: files.write("a", b"1", durable=False),
        lambda: files.create("a", b"1"),
        lambda: files.move("a", "b"),
    ):
        with pytest.raises(StoreError, match="refuses a write"):
            change()
    assert isinstance(files, Files)
    assert (files.names(""), notes) == ([], 3 * ["refused"])
