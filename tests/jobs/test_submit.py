"""The refusals of `dmm submit` before any upload, and the files it would ship; no cluster is used."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from ray.job_submission import JobDetails, JobStatus
from terminal import Dmm
from tiny import TINY

from jobs.submission.job_package import check_here, pack
from pipeline import config
from pipeline.core.errors import ConfigError

# Nobody listens there: whatever is refused with another message was refused before.
NOBODY = "http://127.0.0.1:9"


def files_of(root: Path) -> list[Path]:
    return [path.relative_to(root) for path in root.rglob("*") if path.is_file()]


def ship(
    folder: Path,
    settings: dict[str, Any] | None = None,
    *,
    shipped: Callable[[Path], list[Path]] = files_of,
    most: int = 1000,
):
    experiment = config.build(TINY | (settings or {}))
    return pack(
        experiment,
        config="tiny.yaml",
        options=["--store", "/s"],
        working_dir=str(folder),
        shipped_files=shipped,
        largest_bytes=most,
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text("name: tiny")
    return tmp_path


def test_the_entry_point_resumes_in_the_folder_that_is_shipped(folder: Path) -> None:
    parcel = ship(folder)
    assert parcel.entrypoint == "python -m jobs.run tiny.yaml --store /s"
    assert (parcel.working_dir, parcel.n_files, parcel.n_bytes) == (str(folder), 1, 10)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"forget_sets": {"some": {"name": "file", "path": "ids.txt"}}},
            "file ids.txt is not uploaded .* it does not exist",
        ),
        ({"forget_sets": {"some": {"name": "file", "path": "../ids.txt"}}}, "it lies elsewhere"),
        ({"dataset": {"name": "npz", "path": "kept/data.npz"}}, "leaves it out"),
    ],
)
def test_a_file_that_is_not_shipped_is_named(folder: Path, settings: dict[str, Any], said: str) -> None:
    (folder / "kept").mkdir()
    (folder / "kept" / "data.npz").touch()
    with pytest.raises(ConfigError, match=said):
        ship(folder, settings, shipped=lambda _: [Path("tiny.yaml")])


def test_files_are_looked_for_where_the_job_starts(folder: Path) -> None:
    (folder / "shipped").mkdir()
    (folder / "tiny.yaml").rename(folder / "shipped" / "tiny.yaml")
    experiment = config.build(TINY | {"forget_sets": {"some": {"name": "file", "path": "ids.txt"}}})
    names = {"working_dir": "shipped", "shipped_files": files_of, "largest_bytes": 1000}
    (folder / "ids.txt").write_text("1\n2\n")
    with pytest.raises(ConfigError, match=r"file ids.txt is not uploaded .* it does not exist"):
        pack(experiment, config="shipped/tiny.yaml", options=[], **names)
    (folder / "ids.txt").rename(folder / "shipped" / "ids.txt")
    assert check_here(experiment, "shipped")
    assert (
        pack(experiment, config="shipped/tiny.yaml", options=[], **names).entrypoint
        == "python -m jobs.run tiny.yaml"
    )


def test_an_absolute_path_is_taken_on_trust(folder: Path) -> None:
    assert ship(folder, {"dataset": {"name": "npz", "path": "/mnt/data.npz"}}).n_files == 1


def test_a_plugin_must_be_shipped_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine_own.py").write_text(
        "from pipeline.models.mlp import Mlp\n\n\nclass Own(Mlp):\n    pass\n"
    )
    monkeypatch.syspath_prepend(str(elsewhere))
    settings = {"model": {"name": "mine_own:Own", "width": 8}}
    assert ship(folder, settings).n_files == 2
    with pytest.raises(ConfigError, match="plug-in mine_own:Own is not uploaded"):
        ship(folder, settings, shipped=lambda _: [Path("tiny.yaml")])
    sys.modules.pop("mine_own")


def test_more_than_ray_takes_is_refused_with_the_largest_file(folder: Path) -> None:
    (folder / "big.bin").write_bytes(bytes(2000))
    with pytest.raises(ConfigError, match=r"in 2 files \(largest: big.bin\).*\.rayignore"):
        ship(folder)


def test_an_archive_by_uri_is_passed_on(folder: Path) -> None:
    assert ship("s3://bucket/code.zip").working_dir == "s3://bucket/code.zip"


def test_ray_lists_what_it_ships(folder: Path) -> None:
    from pipeline.execution.ray.jobs import shipped_files

    for name in ("kept/a", "ignored/b", ".git/c", "__pycache__/d"):
        (folder / name).parent.mkdir()
        (folder / name).touch()
    (folder / ".rayignore").write_text("ignored/\n")
    assert sorted(map(str, shipped_files(folder))) == [".rayignore", "kept/a", "tiny.yaml"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--store", "runs"), "store 'runs' is a relative path"),
        (("--store", "file://runs"), "expected /a/folder, file:///a/folder or s3://bucket/prefix"),
        (("--store", "s3:/bucket/x"), "expected /a/folder, file:///a/folder or s3://bucket/prefix"),
        (("--set", "tracking.uri=sqlite:///mlflow.db"), "sqlite:////absolute"),
        (("--set", "populations.subset.n_model=3"), "n_model"),
        (("--set", "forget_sets.some.n_points=100000"), "forget_sets.some: "),
        (("--only", "trian"), "--only 'trian'"),
        (("--stage", "train"), "--stage no longer exists; use --only train"),
        (("--stage", "run"), "--stage no longer exists; leave it out"),
        (("--address", "ray://head:10001"), "expected the address of the head's dashboard"),
        (("--entrypoint-label", "kind"), "NAME=VALUE"),
    ],
)
def test_what_is_wrong_is_said_before_a_cluster_is_asked(
    dmm: Dmm, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    status, _, err = dmm(
        "submit", "tiny.yaml", "--address", NOBODY, "--store", str(tmp_path / "s"), *arguments
    )
    assert status == 2
    assert said in err


def test_a_head_that_is_not_there_is_said(dmm: Dmm, tmp_path: Path) -> None:
    status, _, err = dmm("submit", "tiny.yaml", "--address", NOBODY, "--store", str(tmp_path / "s"))
    assert status == 1
    assert f"no Ray head answers at {NOBODY}" in err


class FakeServer:
    """A job server in this process: takes jobs, and ends or is left as the test says."""

    def __init__(self, address: str) -> None:
        self.address = address

    def submit(self, **job: Any) -> None:
        FakeServer.last = job

    def follow(self, job_id: str, write: Callable[[str], None]) -> Any:
        write("a line of the job\n")
        if FakeServer.ends is None:
            raise KeyboardInterrupt
        return FakeServer.ends


def ended(status: str, code: int) -> Any:
    return SimpleNamespace(status=JobStatus(status), driver_exit_code=code, message="m")


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakeServer]:
    monkeypatch.setattr("pipeline.execution.ray.jobs.JobServer", FakeServer)
    return FakeServer


@pytest.mark.parametrize(
    ("ends", "status", "said"),
    [
        (ended("SUCCEEDED", 0), 0, "has taken job"),
        (ended("FAILED", 3), 3, "to continue from the finished work"),
        (None, 130, "ray job stop tiny-train-"),
    ],
)
def test_following_ends_as_the_job_does_and_leaving_leaves_it_running(
    dmm: Dmm, fake: Any, tmp_path: Path, ends: Any, status: int, said: str
) -> None:
    fake.ends = ends
    options = ("--only", "train", "--follow", "--entrypoint-cpus", "1", "--set", "seed=4")
    found, _, err = dmm("submit", "tiny.yaml", "--address", NOBODY, "--store", str(tmp_path / "s"), *options)
    assert (found, "a line of the job" in err) == (status, True)
    assert said in err
    assert "same command goes on" not in err
    assert (
        fake.last["entrypoint"]
        == f"python -m jobs.run tiny.yaml --set seed=4 --store {tmp_path / 's'} --only train"
    )
    assert fake.last["needs"] == {"num_cpus": 1.0}


def test_data_that_only_the_cluster_has_are_left_to_the_job(dmm: Dmm, fake: Any, tmp_path: Path) -> None:
    mine = TINY | {
        "dataset": {"name": "npz", "path": "/nowhere/data.npz"},
        "forget_sets": {"some": {"name": "random", "n_points": 5}},
    }
    Path("tiny.yaml").write_text(yaml.safe_dump(mine, sort_keys=False))
    status, _, err = dmm("submit", "tiny.yaml", "--address", NOBODY, "--store", str(tmp_path / "s"))
    assert status == 0
    assert "the job checks them when it starts" in err


class DroppingClient:
    """A job's log in parts.

    The connection drops after the first, and is whole from its beginning when opened again.
    """

    def __init__(self) -> None:
        self.tails, self.asked = 0, 0

    def get_job_info(self, job_id: str) -> Any:
        self.asked += 1
        if self.asked == 2:
            raise ConnectionError("away for a moment")
        return JobDetails(
            type="SUBMISSION", entrypoint="python", status="RUNNING" if self.tails < 1 else "SUCCEEDED"
        )

    async def tail_job_logs(self, job_id: str):
        self.tails += 1
        yield "one\n"
        if self.tails == 1:
            raise RuntimeError("closed unexpectedly")
        yield "two\n"


def test_a_log_goes_on_where_its_connection_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.execution.ray import jobs as ray_jobs

    monkeypatch.setattr(ray_jobs, "RETRY_SECONDS", 0.0)
    server = object.__new__(ray_jobs.JobServer)
    server.address, server._client = NOBODY, DroppingClient()
    written: list[str] = []
    assert server.follow("job", written.append).status == "SUCCEEDED"
    assert "".join(written) == "one\ntwo\n"


def test_a_job_finds_in_its_environment_what_its_submitter_has(
    dmm: Dmm, fake: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    monkeypatch.setenv("DMM_STORE_PATIENCE", "7")
    asked = ("submit", "tiny.yaml", "--address", NOBODY, "--store", str(tmp_path / "s"))
    _, _, err = dmm(*asked, "--set", "tracking.uri=null")
    assert fake.last["variables"] == {"MLFLOW_TRACKING_URI": "http://mlflow:5000", "DMM_STORE_PATIENCE": "7"}
    assert "MLflow: http://mlflow:5000" in err
    dmm(*asked)
    assert fake.last["variables"] == {"DMM_STORE_PATIENCE": "7"}


HERE = [
    "http://127.0.0.1:5000",
    "http://localhost:5000",
    "http://[::1]:5000",
    "http://127.8.0.1",
    "postgresql://me@localhost/mlflow",
    "sqlite:////home/me/mlflow.db",
]


@pytest.mark.parametrize("view", HERE)
def test_a_view_on_this_machine_does_not_travel_to_another(
    dmm: Dmm, fake: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, view: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", view)
    asked = ("submit", "tiny.yaml", "--store", str(tmp_path / "s"), "--set", "tracking.uri=null")
    status, _, err = dmm(*asked, "--address", "http://head:8265")
    assert (status, f"MLFLOW_TRACKING_URI {view!r} is an address on this machine" in err) == (2, True)
    assert (
        "give an address that the cluster can reach, such as http://HOST:5000, or unset the "
        "variable" in " ".join(err.split())
    )
    assert dmm(*asked, "--address", "http://localhost:8265")[0] == 0


def test_a_view_behind_a_forwarded_port_is_said_to_be_the_jobs(dmm: Dmm, fake: Any, tmp_path: Path) -> None:
    asked = ("submit", "tiny.yaml", "--store", str(tmp_path / "s"), "--address", "http://localhost:8265")
    said = "on the machine where the job starts"
    assert [
        said in dmm(*asked, "--set", f"tracking.uri={view}")[2]
        for view in ("http://localhost:5000", "http://mlflow:5000")
    ] == [True, False]


@pytest.mark.parametrize(
    ("mode", "said"),
    [("token", "watch: RAY_AUTH_MODE=token ray job logs"), ("disabled", "watch: ray job logs")],
)
def test_rays_own_commands_are_named_as_they_work(
    dmm: Dmm, fake: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, said: str
) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", mode)
    assert said in dmm("submit", "tiny.yaml", "--store", str(tmp_path / "s"), "--address", NOBODY)[2]


@pytest.mark.parametrize(
    "view", ["http://mlflow:5000", "https://10.0.0.7", "databricks", "sqlite:///{store}/mlflow.db"]
)
def test_a_view_that_the_cluster_can_reach_travels(
    dmm: Dmm, fake: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, view: str
) -> None:
    view = view.format(store=tmp_path / "s")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", view)
    assert (
        dmm(
            "submit",
            "tiny.yaml",
            "--store",
            str(tmp_path / "s"),
            "--set",
            "tracking.uri=null",
            "--address",
            "http://head:8265",
        )[0]
        == 0
    )
    assert fake.last["variables"]["MLFLOW_TRACKING_URI"] == view


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("", "an object store cannot hold MLflow's database"),
        ("http://me:s3cret@mlflow", "'http://***@mlflow'"),
    ],
)
def test_a_job_without_a_place_for_its_view_is_refused_here(
    dmm: Dmm, monkeypatch: pytest.MonkeyPatch, address: str, said: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    status, _, err = dmm(
        "submit", "tiny.yaml", "--address", NOBODY, "--store", "s3://bucket/a", "--set", "tracking.uri=null"
    )
    assert (status, "s3cret" in err) == (2, False)
    assert said in err
