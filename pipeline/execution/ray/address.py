"""The address in RAY_ADDRESS, and the check that a Ray head answers there.

Without this check, Ray itself would try to connect for minutes, in silence.
"""

import os
import socket
import time
from pathlib import Path
from urllib.parse import urlsplit

import grpc
from ray._common.utils import get_default_system_temp_dir
from ray._private.grpc_utils import init_grpc_channel
from ray._private.ray_constants import GLOBAL_GRPC_OPTIONS
from ray._private.services import canonicalize_bootstrap_address
from ray.core.generated.gcs_service_pb2 import CheckAliveRequest
from ray.core.generated.gcs_service_pb2_grpc import NodeInfoGcsServiceStub

from pipeline.core.errors import ConfigError, ExecutionError
from pipeline.core.long_waits import announced

LOCAL = "local"
# Seconds to wait until a process listens at the address, and then until it answers. A head that is starting
# needs less.
LISTEN_SECONDS, _ANSWER_SECONDS = 4.0, 20.0
PAUSE = 0.5
_REMEDY = (
    "start that cluster, correct RAY_ADDRESS, or unset it to use Ray on this machine alone; `--executor "
    "serial` needs no Ray"
)
# The most bytes in the path of a Unix socket, and the path of a socket that Ray creates below its temporary
# folder.
LONGEST_SOCKET = 107
SOCKET = "ray/session_2026-01-01_00-00-00_000000_{process}/sockets/plasma_store"
ANSWERS = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)


def wanted_address() -> str:
    """Return the value of RAY_ADDRESS, or `local` if it is empty or not set.

    Empty variables that Ray reads are removed from the environment: Ray would take the empty value literally.
    """
    for name in ("RAY_ADDRESS", "RAY_TMPDIR", "TMPDIR"):
        if not os.environ.get(name, "-").strip():
            del os.environ[name]
    return os.environ.get("RAY_ADDRESS", LOCAL).strip()


def check_answers(address: str) -> None:
    """Raise an error with a remedy, within seconds, unless a Ray head answers at address.

    The error is a ConfigError if address is not an address of Ray, else an ExecutionError.
    """
    host, port = _place(address)
    where = f"Ray at {address!r}" + ("" if f"{host}:{port}" in address else f" ({host}:{port})")
    with announced(f"waiting for {where} to listen, for {LISTEN_SECONDS:.0f} s at most"):
        _await_listener(where, host, port)
    with announced(f"waiting for {where} to answer, for {_ANSWER_SECONDS:.0f} s at most"):
        _await_answer(where, f"{host}:{port}", is_client=address.startswith("ray://"))


def check_temporary_folder() -> None:
    """Raise ConfigError unless Ray can start in its temporary folder.

    The folder must be writable, and its path must be short enough for Ray's sockets.
    """
    folder = Path(get_default_system_temp_dir())
    named = next(
        (f"{name} is {str(folder)!r}" for name in ("RAY_TMPDIR", "TMPDIR") if name in os.environ),
        f"it is {str(folder)!r}",
    )
    begins = f"Ray's temporary folder cannot be used: {named}"
    if not folder.is_absolute():
        raise ConfigError(f"{begins}, which is relative; set RAY_TMPDIR to an absolute path")
    # Ray creates the folder itself if its parent can be written.
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise ConfigError(f"{begins}, and {there} cannot be written; set RAY_TMPDIR to a writable folder")
    room = LONGEST_SOCKET - len(f"/{SOCKET.format(process=os.getpid())}")
    if len(os.fsencode(folder)) > room:
        raise ConfigError(
            f"{begins}, which is too long for Ray's sockets; set RAY_TMPDIR to a folder whose path "
            f"has at most {room} bytes"
        )


def _place(address: str) -> tuple[str, int]:
    """Return host and port of a cluster's address."""
    expected = "expected HOST:6379, ray://HOST:10001, `auto`, or `local` for this machine alone"
    if address.startswith(("http://", "https://")):
        raise ConfigError(
            f"RAY_ADDRESS {address!r} is the address of a dashboard, which only `dmm submit` uses; {expected}"
        )
    try:
        found = address if address.startswith("ray://") else canonicalize_bootstrap_address(address)
        parts = urlsplit(found if "://" in str(found) else f"//{found}")
        host, port = parts.hostname, parts.port
    except ConnectionError as error:
        raise ExecutionError(
            f"RAY_ADDRESS is {address!r}, but no Ray runs on this machine; {_REMEDY}"
        ) from error
    except (ValueError, OSError) as error:
        raise ConfigError(
            f"RAY_ADDRESS {address!r} is not an address of Ray ({error}); {expected}"
        ) from error
    if not host or not port:
        raise ConfigError(f"RAY_ADDRESS {address!r} is not an address of Ray; {expected}")
    return host, port


def _await_listener(where: str, host: str, port: int) -> None:
    deadline = time.monotonic() + LISTEN_SECONDS
    while True:
        try:
            socket.create_connection((host, port), timeout=max(PAUSE, deadline - time.monotonic())).close()
        except OSError as error:
            if time.monotonic() + PAUSE > deadline:
                raise ExecutionError(
                    f"{where} cannot be reached: nothing listens there ({error.strerror or error}); {_REMEDY}"
                ) from error
            time.sleep(PAUSE)
        else:
            return


def _await_answer(where: str, target: str, *, is_client: bool) -> None:
    """Wait for any answer of a Ray head, even a refusal, because Ray itself then reports the reason.

    A server for ray:// addresses does not know this request and answers UNIMPLEMENTED. Raises ExecutionError
    if no Ray head answers.
    """
    deadline, channel = (
        time.monotonic() + _ANSWER_SECONDS,
        init_grpc_channel(target, options=GLOBAL_GRPC_OPTIONS),
    )
    try:
        while True:
            try:
                NodeInfoGcsServiceStub(channel).CheckAlive(
                    CheckAliveRequest(), timeout=max(PAUSE, deadline - time.monotonic())
                )
            except grpc.RpcError as error:
                code = error.code()
                if code in ANSWERS or (is_client and code is grpc.StatusCode.UNIMPLEMENTED):
                    return
                if code is grpc.StatusCode.UNIMPLEMENTED:
                    raise ExecutionError(
                        f"{where} is not a Ray head but another server; {_REMEDY}, or write ray:// before it "
                        "for Ray's client"
                    ) from error
                if time.monotonic() + PAUSE > deadline:
                    raise ExecutionError(
                        f"{where} cannot be reached: the server there does not answer as Ray within "
                        f"{_ANSWER_SECONDS:.0f} s; {_REMEDY}"
                    ) from error
                time.sleep(PAUSE)
            else:
                return
    finally:
        channel.close()
