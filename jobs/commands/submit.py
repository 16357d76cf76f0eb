"""`dmm submit`: hands an experiment to a cluster as a Ray job.

The job is `python -m jobs.run`, so it resumes if it is submitted again.
"""

import os
import shlex
import sys
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs.options import DONE, FAILED, AllowMissing, Config, Json, Set, finish, screen
from jobs.running.run_scope import check_only
from jobs.session import read_experiment, refuse_places_that_vanish
from jobs.submission.job_package import MIB, JobPackage, check_here, pack
from jobs.submission.local_addresses import is_database_outside, is_loopback
from pipeline.config import Experiment
from pipeline.core.errors import ConfigError
from pipeline.core.hidden_passwords import masked
from pipeline.graph.node_kinds import entries
from pipeline.store.files import PATIENCE_VARIABLE, local_folder
from pipeline.tracking.open_tracker import tracking_uri

if TYPE_CHECKING:
    from pipeline.execution.ray.jobs import JobServer

TRACKING = "MLFLOW_TRACKING_URI"


class DetachedError(Exception):
    """The user stopped following a job.

    The job goes on, and the message says how to watch and how to stop it.
    """


@dataclass(frozen=True)
class Submitted:
    """A job that a cluster has accepted; as a text, the commands that watch and stop it.

    ray is the command `ray` as the user must type it.
    """

    job_id: str
    address: str
    store: str
    ray: str = "ray"

    def __str__(self) -> str:
        return (
            f"watch: {self.ray} job logs {self.job_id} --follow --address {self.address}\n"
            f"done:  dmm status --store {shlex.quote(self.store)}\n"
            f"stop:  {self.ray} job stop {self.job_id} --address {self.address}"
        )


def submit(
    address: Annotated[
        str,
        typer.Option(
            envvar="RAY_API_SERVER_ADDRESS", help="Dashboard of the cluster's head, such as http://HEAD:8265."
        ),
    ],
    config: Config = None,
    set_: Set = None,
    store: Annotated[
        str | None,
        typer.Option(
            "--store",
            metavar="URI",
            help="Where tables are kept: an object store, or a path that all nodes mount.",
        ),
    ] = None,
    only: Annotated[
        str | None,
        typer.Option(
            metavar="STAGE",
            help=f"Compute this stage alone: {', '.join(entries())}; all of them if left out.",
        ),
    ] = None,
    stage: Annotated[str | None, typer.Option(hidden=True)] = None,
    working_dir: Annotated[
        str,
        typer.Option(metavar="DIR", help="Folder, or archive by URI, that holds config, files and plug-ins."),
    ] = ".",
    follow: Annotated[
        bool,
        typer.Option("--follow", help="Show the log and end as the job ends; Ctrl-C leaves the job running."),
    ] = False,
    allow_missing: AllowMissing = False,
    cpus: Annotated[
        float,
        typer.Option(
            "--entrypoint-cpus", help="CPUs that the driver itself asks for; 0 starts it on the head."
        ),
    ] = 0.0,
    memory_gb: Annotated[
        float, typer.Option("--entrypoint-memory-gb", help="Memory that the driver itself asks for.")
    ] = 0.0,
    labels: Annotated[
        list[str] | None,
        typer.Option(
            "--entrypoint-label", metavar="NAME=VALUE", help="Label of the node the driver is to run on."
        ),
    ] = None,
    json_: Json = False,
) -> None:
    """Start an experiment as a job on a Ray cluster. Settings and files are checked before upload.

    Submit it again to resume. The job costs what `dmm plan` shows.
    """
    experiment = read_experiment(config, set_ or (), store)
    if stage is not None:
        raise ConfigError(
            f"--stage no longer exists; use --only {stage}"
            if stage != "run"
            else "--stage no longer exists; leave it out to compute everything"
        )
    check_only(only)
    needs = _needs(cpus, memory_gb, labels or [])
    refuse_places_that_vanish(experiment)
    variables = _variables(experiment, address)
    if not check_here(experiment, working_dir):
        _say("the data are not on this machine: the job checks them when it starts")
    options = (
        [part for one in set_ or () for part in ("--set", one)]
        + ["--store", experiment.store.uri]
        + (["--only", only] if only else [])
        + (["--allow-missing"] if allow_missing else [])
    )
    # Import Ray only now, so a wrong config is refused without it.
    from pipeline.execution.ray.jobs import LARGEST_BYTES, JobServer, shipped_files

    package = pack(
        experiment,
        config=config,
        options=options,
        working_dir=working_dir,
        shipped_files=shipped_files,
        largest_bytes=LARGEST_BYTES,
    )
    server = JobServer(address)
    job = _send(server, experiment, package, only or "run", needs, variables)
    answer = {
        "job_id": job.job_id,
        "address": job.address,
        "entrypoint": package.entrypoint,
        "store": job.store,
    }
    if not follow:
        finish(answer, json_, DONE)
    status, code = _follow(server, job)
    finish(answer | {"status": status, "exit_status": code}, json_, code)


def _send(
    server: "JobServer",
    experiment: Experiment,
    package: JobPackage,
    stage: str,
    needs: dict[str, Any],
    variables: dict[str, str],
) -> Submitted:
    # The command `ray` sends a token only if RAY_AUTH_MODE is `token`. If it is so here, the printed commands
    # set it too.
    ray = "RAY_AUTH_MODE=token ray" if os.environ.get("RAY_AUTH_MODE") == "token" else "ray"
    job = Submitted(
        f"{experiment.name}-{stage}-{uuid.uuid4().hex[:8]}", server.address, experiment.store.uri, ray
    )
    if package.n_files:
        _say(
            f"shipping {package.working_dir}: {package.n_files:,} files, {package.n_bytes / MIB:,.1f} MiB "
            "before packing"
        )
    about = {"experiment": experiment.name, "digest": experiment.digest, "stage": stage, "store": job.store}
    server.submit(
        entrypoint=package.entrypoint,
        job_id=job.job_id,
        working_dir=package.working_dir,
        metadata=about,
        needs=needs,
        variables=variables,
    )
    view = (
        experiment.tracking.uri
        or variables.get(TRACKING)
        or "where MLFLOW_TRACKING_URI of the cluster points, else a database in the store"
    )
    # The job uses this address on another machine, where a loopback address means that machine. With a
    # forwarded port the cluster only looks like this machine.
    whose = (
        " (on the machine where the job starts; with a forwarded port that is not this machine)"
        if is_loopback(view)
        else ""
    )
    _say(f"{job.address} has taken job {job.job_id}: {package.entrypoint}\n{job}\nMLflow: {view}{whose}")
    return job


def _variables(experiment: Experiment, cluster: str) -> dict[str, str]:
    """Return the environment variables of this process that the job gets too.

    cluster is the address of the cluster. Raises ConfigError if the job would have no place for its tracking
    data, or if their address holds a password, which Ray would show.
    """
    carried = {name: os.environ[name] for name in (TRACKING, PATIENCE_VARIABLE) if os.environ.get(name)}
    if experiment.tracking.uri:
        carried.pop(TRACKING, None)
    address = (
        tracking_uri(experiment.tracking.uri, store_root=local_folder(experiment.store.uri), used_here=False)
        or ""
    )
    if masked(address) != address:
        raise ConfigError(
            f"{TRACKING} {masked(address)!r} contains a password, which Ray would show to everybody "
            "who sees the job; give the address without it, and set MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD on the cluster"
        )
    carries = carried.get(TRACKING, "")
    if (
        is_loopback(carries) or is_database_outside(carries, local_folder(experiment.store.uri))
    ) and not is_loopback(cluster):
        raise ConfigError(
            f"{TRACKING} {carries!r} is an address on this machine, which the job at {cluster} "
            "cannot reach; give an address that the cluster can reach, such as http://HOST:5000, "
            "or unset the variable"
        )
    return carried


def _follow(server: "JobServer", job: Submitted) -> tuple[str, int]:
    """Return how the job ended, as Ray's status and as an exit status.

    Raises DetachedError if the user stops following it.
    """
    try:
        details = server.follow(job.job_id, _copy)
    except KeyboardInterrupt:
        raise DetachedError(f"stopped following the log; job {job.job_id} continues.\n{job}") from None
    if details.status == "SUCCEEDED":
        return str(details.status.value), DONE
    # The rest of the message repeats the end of the log, which has been shown.
    reason = (details.message or "no reason given").partition(", last available logs")[0]
    _say(
        f"job {job.job_id} {details.status.value}: {reason}\nSubmit it again to continue from "
        "the finished work."
    )
    return str(details.status.value), details.driver_exit_code or FAILED


def _needs(cpus: float, memory_gb: float, labels: list[str]) -> dict[str, Any]:
    pairs = dict(one.partition("=")[::2] for one in labels)
    if cpus < 0 or memory_gb < 0 or not all(name and value for name, value in pairs.items()):
        raise ConfigError(
            "expected --entrypoint-cpus and --entrypoint-memory-gb of at least 0, and "
            "--entrypoint-label NAME=VALUE"
        )
    needs = {
        "num_cpus": cpus or None,
        "memory": int(memory_gb * 2**30) or None,
        "label_selector": pairs or None,
    }
    return {name: value for name, value in needs.items() if value}


def _copy(text: str) -> None:
    """Print a part of the log of a job to standard error.

    So standard output contains only the JSON object of --json.
    """
    sys.stderr.write(text)
    sys.stderr.flush()


def _say(text: str) -> None:
    screen.print(text, soft_wrap=True)
