"""The recipes of cluster/, checked without a cloud.

The tests check schemas, scripts, and the commands and settings in the recipes, and that no secret is written
down.
"""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest
import typer
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.scripts.scripts import cli as ray_cli
from strict import strict_schema

from jobs.cli import app
from jobs.session import read_experiment

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "cluster"
FILES = sorted(path for path in CLUSTER.rglob("*") if path.is_file())
LAUNCHERS = [CLUSTER / f"{name}.yaml" for name in ("aws", "gcp", "onprem")]
RAY_COMMANDS = {**ray_cli.commands, "job": ray_cli.commands["job"]}
SECRET = re.compile(
    r"AKIA[0-9A-Z]{16}|-----BEGIN|"
    r"(?i:(?:token|password|secret_access_key|access_key_id)\s*[:=]\s*[\"']?[A-Za-z0-9/+]{16,})"
)
CRDS = next(
    (parent / "shared" / "crd" for parent in ROOT.parents if (parent / "shared" / "crd").is_dir()), None
)


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))


def containers(found: dict[str, Any]) -> list[dict[str, Any]]:
    cluster = found["spec"].get("rayClusterSpec", found["spec"])
    return [
        group["template"]["spec"]["containers"][0]
        for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])
    ]


@pytest.mark.parametrize("path", LAUNCHERS, ids=lambda path: path.stem)
def test_the_launcher_accepts_its_recipe(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = yaml.safe_load(path.read_text())
    monkeypatch.setattr(
        "ray.autoscaler._private.local.config.get_lock_path", lambda _: str(tmp_path / "lock")
    )
    monkeypatch.setattr(
        "ray.autoscaler._private.local.config.get_state_path", lambda _: str(tmp_path / "state")
    )
    validate_config(prepare_config(config))
    assert config["docker"]["run_options"][0] == "--env RAY_AUTH_MODE=token"
    assert "--dashboard-host=127.0.0.1" in config["head_start_ray_commands"][1]


@pytest.mark.parametrize(
    ("path", "spot"),
    [(LAUNCHERS[0], "InstanceMarketOptions"), (LAUNCHERS[1], "scheduling")],
    ids=["aws", "gcp"],
)
def test_clouds_have_spot_workers_and_a_head_on_demand(path: Path, spot: str) -> None:
    kinds = yaml.safe_load(path.read_text())["available_node_types"]
    is_spot = {name: spot in kind["node_config"] for name, kind in kinds.items()}
    assert is_spot == {"head": False, "cpu": True, "gpu": True, "memory": False}
    assert {name for name, kind in kinds.items() if kind.get("labels", {}).get("market") == "spot"} == {
        "cpu",
        "gpu",
    }


@pytest.mark.skipif(CRDS is None, reason="KubeRay's CRDs are not beside this checkout")
@pytest.mark.parametrize(
    ("name", "kind", "crd"), [("raycluster", "RayCluster", "rayclusters"), ("rayjob", "RayJob", "rayjobs")]
)
def test_kuberay_knows_every_key(name: str, kind: str, crd: str) -> None:
    (found,) = (one for one in documents(CLUSTER / "kuberay" / f"{name}.yaml") if one["kind"] == kind)
    schema = strict_schema(CRDS / f"{crd}.yaml")
    # The schema itself is not checked: that takes 15 s.
    validator = jsonschema.Draft202012Validator(schema)
    assert [error.message for error in validator.iter_errors(found)] == []
    cluster = found["spec"].get("rayClusterSpec", found["spec"])
    assert cluster["authOptions"] == {"mode": "token"}
    assert cluster["enableInTreeAutoscaling"]
    assert all(group["template"]["spec"]["tolerations"] for group in cluster["workerGroupSpecs"])
    cluster["headGroupSpec"]["rayStartParam"] = {}
    assert any("rayStartParam" in error.message for error in validator.iter_errors(found))


def test_pods_mount_the_volume_or_get_keys_from_a_secret() -> None:
    claim, cluster = documents(CLUSTER / "kuberay" / "raycluster.yaml")
    (job,) = documents(CLUSTER / "kuberay" / "rayjob.yaml")
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    assert all(container["volumeMounts"][0]["mountPath"] == "/shared" for container in containers(cluster))
    assert all(container["envFrom"] == [{"secretRef": {"name": "dmm-s3"}}] for container in containers(job))


def test_the_slurm_script_is_a_shell_script_that_requeues() -> None:
    script = CLUSTER / "slurm.sh"
    subprocess.run(["bash", "-n", script], check=True)
    assert {"#SBATCH --requeue", "#SBATCH --signal=B:TERM@120"} <= set(script.read_text().splitlines())


def test_shellcheck_has_nothing_to_say() -> None:
    found = shutil.which("shellcheck", path=str(Path(sys.executable).parent)) or shutil.which("shellcheck")
    if found is None:
        pytest.skip("shellcheck is not installed; `make setup` brings it")
    checked = subprocess.run([found, CLUSTER / "slurm.sh"], capture_output=True, text=True, check=False)
    assert checked.stdout == ""


@pytest.mark.parametrize(
    "path", [CLUSTER / "Dockerfile", CLUSTER / "mlflow" / "Dockerfile"], ids=["dmm", "mlflow"]
)
def test_images_are_pinned_and_do_not_run_as_root(path: Path) -> None:
    lines = [
        line
        for line in path.read_text().replace("\\\n", " ").splitlines()
        if line and not line.startswith("#")
    ]
    told = [tuple(line.split(maxsplit=1)) for line in lines]
    assert {instruction for instruction, _ in told} <= {
        "FROM",
        "ARG",
        "RUN",
        "WORKDIR",
        "COPY",
        "ENV",
        "USER",
        "CMD",
    }
    (base,) = (rest for instruction, rest in told if instruction == "FROM")
    assert re.fullmatch(r"python:\d+\.\d+\.\d+-slim-\w+", base)
    assert [rest for instruction, rest in told if instruction == "USER"][-1] in ("dmm", "mlflow")
    for _, rest in told:
        assert (
            "pip install" not in rest
            or "--constraint constraints.txt" in rest
            or all("==" in word for word in rest.split()[3:])
        )
    assert all(
        (ROOT / source).exists()
        for instruction, rest in told
        if instruction == "COPY"
        for source in rest.split()[:-1]
    )


def test_versions_are_those_that_were_tested() -> None:
    pins = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line
    )
    assert f"mlflow=={pins['mlflow']} " in (CLUSTER / "mlflow" / "Dockerfile").read_text()
    assert all(
        f"rayVersion: {pins['ray']}" in (CLUSTER / "kuberay" / name).read_text()
        for name in ("raycluster.yaml", "rayjob.yaml")
    )


def test_the_mlflow_server_is_on_loopback_and_takes_its_secrets_from_outside() -> None:
    compose = yaml.safe_load((CLUSTER / "mlflow" / "docker-compose.yaml").read_text())
    services, volumes = compose["services"], set(compose["volumes"])
    for service in services.values():
        assert set(service.get("depends_on", {})) <= set(services)
        assert {mount.split(":")[0] for mount in service.get("volumes", [])} <= volumes
    for name in ("team", "one"):
        assert services[name]["ports"] == ["${MLFLOW_BIND:-127.0.0.1}:5000:5000"]
        assert "mlflow:5000" in services[name]["environment"]["MLFLOW_SERVER_ALLOWED_HOSTS"]
    assert services["team"]["environment"]["MLFLOW_BACKEND_STORE_URI"].startswith(
        "postgresql+psycopg2://mlflow:${POSTGRES_PASSWORD"
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(CLUSTER).as_posix())
def test_no_secret_is_written_down(path: Path) -> None:
    assert SECRET.findall(path.read_text()) == []


def commands() -> list[tuple[str, list[str]]]:
    """Return every `dmm`, `ray` and `python -m jobs.` command of recipes and README, with its file."""
    found = []
    for path in FILES:
        text = re.sub(r" \\\n(#?\s*)", " ", path.read_text())
        for line in text.splitlines():
            for match in re.finditer(
                r"(?<![\w/:.-])(dmm (?:submit|run|status|ui)|ray (?!job`)[a-z]+[a-z-]*|python -m "
                r"jobs\.(?!<)\w+)[^`#()\n]*",
                line,
            ):
                words = match.group().split(" && ")[0].split(" -- ")[0].rstrip(" &;.")
                if " -" in words or words.startswith(("dmm", "python")):
                    found.append(
                        (
                            path.name,
                            shlex.split(words.replace("'{.", "{.").split(" | ")[0])
                            if words.count("'") % 2 == 0
                            else words.split(),
                        )
                    )
    return found


def options_of(words: list[str]) -> set[str]:
    return {found.group() for word in words if (found := re.match(r"--[a-z][a-z-]*", word))}


def known_to(command: click.Command) -> set[str]:
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)} | {
        "--help"
    }


@pytest.mark.parametrize(
    ("name", "words"), commands(), ids=lambda value: value if isinstance(value, str) else " ".join(value)[:60]
)
def test_every_command_exists_with_its_options(name: str, words: list[str]) -> None:
    dmm = typer.main.get_command(app)
    if words[0] == "ray":
        command, rest = RAY_COMMANDS[words[1]], words[2:]
        if isinstance(command, click.Group):
            command, rest = command.commands[rest[0]], rest[1:]
        known = known_to(command) | (
            known_to(RAY_COMMANDS["start"]) if words[1] == "symmetric-run" else set()
        )
    else:
        verb = words[1] if words[0] == "dmm" else "run"
        known = known_to(dmm.commands[verb])
        settings = [words[at + 1] for at, word in enumerate(words) if word == "--set"]
        read_experiment(None, settings, None)
    assert options_of(words) <= known


def test_settings_named_in_comments_are_valid() -> None:
    settings = {
        one
        for path in FILES
        for pair in re.findall(r"--set (?:'([^']+)'|([^\s'`]+))", path.read_text())
        for one in pair
        if one
    }
    assert len(settings) >= 4
    assert read_experiment(None, sorted(settings), None).resources.fit.labels == {"kind": "memory"}
