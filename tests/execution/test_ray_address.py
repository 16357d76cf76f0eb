"""If no Ray head answers, an error says so within seconds, with a remedy that fits the cause."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import grpc
import pytest

from pipeline.core.errors import ConfigError, ExecutionError


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.execution.ray import address as ray_address

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    for name in ("LISTEN_SECONDS", "_ANSWER_SECONDS", "PAUSE"):
        monkeypatch.setattr(ray_address, name, 0.2)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def check(address: str) -> None:
    from pipeline.execution.ray.address import check_answers

    check_answers(address)


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_an_address_where_nobody_listens_is_refused(scheme: str) -> None:
    with pytest.raises(
        ExecutionError,
        match=r"nothing listens there .*; start that cluster, correct RAY_ADDRESS, or unset it",
    ):
        check(f"{scheme}127.0.0.1:{free_port()}")


@pytest.mark.parametrize(
    "address", ["foo", "http://127.0.0.1:8265", "host:99999", "ray://host", "ray://", ":6379"]
)
def test_what_is_no_address_is_a_wrong_setting(address: str) -> None:
    with pytest.raises(ConfigError, match=r"RAY_ADDRESS .* expected HOST:6379"):
        check(address)


def silent() -> tuple[int, Callable[[], None]]:
    server = socket.create_server(("0.0.0.0", 0))
    return server.getsockname()[1], server.close


class Page(BaseHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


def page() -> tuple[int, Callable[[], None]]:
    server = HTTPServer(("0.0.0.0", 0), Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()

    def stop() -> None:
        server.shutdown()
        thread.join()
        server.server_close()

    return server.server_port, stop


@pytest.fixture(params=[silent, page])
def stranger(request: pytest.FixtureRequest) -> Iterator[int]:
    """The port of something that listens and is not Ray."""
    port, stop = request.param()
    yield port
    stop()


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_whoever_listens_and_does_not_answer_as_ray_does_is_given_up(stranger: int, scheme: str) -> None:
    with pytest.raises(ExecutionError, match="the server there does not answer as Ray within"):
        check(f"{scheme}127.0.0.1:{stranger}")


@pytest.fixture
def grpc_port() -> Iterator[int]:
    """A server that speaks as Ray's do and knows none of their questions, as the server of Ray's client."""
    server = grpc.server(futures.ThreadPoolExecutor(1))
    port = server.add_insecure_port("0.0.0.0:0")
    server.start()
    yield port
    server.stop(None).wait()


def test_a_server_of_rays_client_answers_only_as_that(grpc_port: int) -> None:
    check(f"ray://127.0.0.1:{grpc_port}")
    with pytest.raises(ExecutionError, match="is not a Ray head but another server"):
        check(f"127.0.0.1:{grpc_port}")


@pytest.mark.ray
def test_a_head_answers(ray_session: None, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    from pipeline.execution.ray import address as ray_address

    monkeypatch.setattr(ray_address, "_ANSWER_SECONDS", 60.0)
    check(ray.get_runtime_context().gcs_address)


def test_auto_is_what_ray_left_in_its_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray._private import services

    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text(f"127.0.0.1:{free_port()}")
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.setattr(services, "find_gcs_addresses", frozenset)
    with pytest.raises(ExecutionError, match=r"Ray at 'auto' .* nothing listens there"):
        check("auto")
    (tmp_path / "ray" / "ray_current_cluster").unlink()
    with pytest.raises(ExecutionError, match="RAY_ADDRESS is 'auto', but no Ray runs on this machine"):
        check("auto")


@pytest.mark.parametrize("value", ["", " "])
def test_variables_of_ray_that_are_empty_are_as_if_unset(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    from pipeline.execution.ray.address import wanted_address

    for name in ("RAY_ADDRESS", "RAY_TMPDIR"):
        monkeypatch.setenv(name, value)
    assert wanted_address() == "local"
    assert not {"RAY_ADDRESS", "RAY_TMPDIR"} & os.environ.keys()


@pytest.mark.parametrize(
    ("folder", "said"),
    [
        ("x" * 90, "too long for Ray's sockets.* at most"),
        ("a-file", "a-file cannot be written"),
        ("a-file/in", "a-file cannot be written"),
    ],
)
@pytest.mark.parametrize("variable", ["RAY_TMPDIR", "TMPDIR"])
def test_a_temporary_folder_that_ray_cannot_use_is_refused_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, said: str, variable: str
) -> None:
    from pipeline.execution.ray.address import check_temporary_folder

    (tmp_path / "a-file").touch()
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setenv(variable, str(tmp_path / folder))
    with pytest.raises(ConfigError, match=rf"{variable} is .*{said}"):
        check_temporary_folder()


def test_a_relative_temporary_folder_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.execution.ray.address import check_temporary_folder

    monkeypatch.setenv("RAY_TMPDIR", "tmp")
    with pytest.raises(ConfigError, match="which is relative; set RAY_TMPDIR to an absolute path"):
        check_temporary_folder()
