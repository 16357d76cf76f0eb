"""A client of Ray's job server: it submits a job and follows the log to the end.

If the server refuses a request or does not answer, the error names a remedy.
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipeline.execution.ray_environment import auth_mode

# Ray reads these variables on import.
os.environ.setdefault("RAY_AUTH_MODE", auth_mode())
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import aiohttp
from ray._private.ray_constants import get_runtime_env_default_excludes
from ray._private.runtime_env.packaging import GCS_STORAGE_MAX_SIZE, _dir_travel, _get_excludes
from ray.exceptions import AuthenticationError
from ray.job_submission import JobDetails, JobSubmissionClient
from requests.exceptions import Timeout

from pipeline.core.errors import ConfigError, ExecutionError
from pipeline.core.long_waits import SAID_AFTER, announced, warn

_ANSWER_SECONDS = 5.0
# Seconds that the server may be silent before a request fails; a busy head may be slow to accept a job. An
# upload that makes progress may take longer.
REQUEST_SECONDS = 30.0
# While a log is followed, a head that does not answer is asked again for so many seconds.
SILENCE_SECONDS = 60.0
RETRY_SECONDS = 1.0
ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
# Loggers of Ray that would print messages about the upload to the user; only their warnings are shown.
LOUD = (
    "ray.dashboard.modules.dashboard_sdk",
    "ray.dashboard.modules.job.sdk",
    "ray._private.runtime_env.packaging",
)
LARGEST_BYTES = GCS_STORAGE_MAX_SIZE


def shipped_files(folder: Path) -> list[Path]:
    """Return the paths, relative to folder, of the files that Ray uploads with a job.

    Files that .rayignore, .gitignore or Ray itself exclude are left out.
    """
    found: list[Path] = []
    root = folder.resolve()
    # Ray's private functions are used, so that the list always equals what Ray uploads.
    _dir_travel(
        root, [_get_excludes(root, get_runtime_env_default_excludes())], found.append, include_gitignore=True
    )
    return [path.relative_to(root) for path in found if path.is_file()]


class Client(JobSubmissionClient):
    """Ray's client with a timeout; without it a request waits for ever for a silent head."""

    def _do_request(self, method: str, endpoint: str, **options: Any) -> Any:
        with announced(f"waiting for {self._address} to answer, for {REQUEST_SECONDS:.0f} s at most"):
            return super()._do_request(method, endpoint, **{"timeout": REQUEST_SECONDS, **options})


class JobServer:
    """The job server of one cluster; `address` is the head's dashboard, http://HOST:8265."""

    def __init__(self, address: str) -> None:
        """Connect to the job server.

        Raises ConfigError if address is not an http address, and ExecutionError, within seconds, if nobody
        answers or the token is refused.
        """
        if not address.startswith(("http://", "https://")):
            raise ConfigError(
                f"--address {address!r}: expected the address of the head's dashboard, such as "
                "http://HEAD:8265"
            )
        self.address = address.rstrip("/")
        asyncio.run(_ask(self.address))
        # Ray's client prefers this variable to the address that it is given, so both get the same address.
        os.environ["RAY_API_SERVER_ADDRESS"] = self.address
        for name in LOUD:
            logging.getLogger(name).setLevel(logging.WARNING)
        self._client = self._told(lambda: Client(self.address))

    def submit(
        self,
        *,
        entrypoint: str,
        job_id: str,
        working_dir: str | None,
        metadata: Mapping[str, str],
        needs: Mapping[str, Any],
        variables: Mapping[str, str],
    ) -> None:
        """Upload working_dir, unless the cluster has it already, and start the command entrypoint there.

        variables are set in the environment of the command; everybody who reaches the cluster can read them.
        needs are the resources of the command itself; its tasks ask for their own.
        """
        environment: dict[str, Any] = {"env_vars": dict(variables)} | (
            {} if working_dir is None else {"working_dir": working_dir}
        )
        options: dict[str, Any] = {f"entrypoint_{name}": value for name, value in needs.items()}
        self._told(
            lambda: self._client.submit_job(
                entrypoint=entrypoint,
                submission_id=job_id,
                runtime_env=environment,
                metadata=dict(metadata),
                **options,
            )
        )

    def follow(self, job_id: str, write: Callable[[str], None]) -> JobDetails:
        """Pass the job's log to write as it grows, and return how the job ended.

        A log connection that drops is opened again and continues where it was. Raises ExecutionError if the
        head stays silent for a minute.
        """
        seen, heard, is_said = 0, time.monotonic(), False
        while True:
            try:
                details = self._client.get_job_info(job_id)
                heard, is_said = time.monotonic(), False
                # The status is read before the log, so that the last read of the log is complete.
                seen = asyncio.run(self._copy(job_id, seen, write))
                if details.status in ENDED:
                    return details
            except AuthenticationError as error:
                raise ExecutionError(_refused(self.address, str(error))) from error
            except (RuntimeError, OSError, aiohttp.ClientError) as error:
                if time.monotonic() - heard > SILENCE_SECONDS:
                    raise ExecutionError(
                        f"{self.address} has not answered for {SILENCE_SECONDS:.0f} s ({error}); the job "
                        "may still run, and its finished work is kept. Check `dmm status`, and submit "
                        "again if the head is gone"
                    ) from error
                if not is_said and time.monotonic() - heard > SAID_AFTER:
                    is_said = True
                    warn(
                        f"{self.address} does not answer; waiting for it up to {SILENCE_SECONDS:.0f} s. "
                        "The job continues"
                    )
                time.sleep(RETRY_SECONDS)

    async def _copy(self, job_id: str, seen: int, write: Callable[[str], None]) -> int:
        """Pass the log from character number `seen` on to write, until the connection ends.

        Return how many characters of the log were read by then.
        """
        position = 0
        try:
            async for lines in self._client.tail_job_logs(job_id):
                # Ray always sends a log from its beginning.
                new = lines[max(0, seen - position) :]
                position += len(lines)
                if new:
                    write(new)
        except (RuntimeError, OSError, aiohttp.ClientError):
            # The caller asks for the status of the job next, and raises an error if the head stays silent.
            await asyncio.sleep(RETRY_SECONDS)
        return max(seen, position)

    def _told(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except AuthenticationError as error:
            raise ExecutionError(_refused(self.address, str(error))) from error
        except Timeout as error:
            raise ExecutionError(
                f"{self.address} has not answered for {REQUEST_SECONDS:.0f} s; check its dashboard. If "
                "`ray job list` does not show the job, submit it again"
            ) from error
        except (RuntimeError, OSError, ValueError) as error:
            raise ExecutionError(
                f"the job server at {self.address} refused the request: {_line(error)}; check its "
                "dashboard, and that it runs the same Ray version as this machine"
            ) from error


async def _ask(address: str) -> None:
    """Raise ExecutionError unless a server answers at address within seconds; a refusal is an answer too.

    Ray's client itself would wait for minutes.
    """
    try:
        async with (
            aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=_ANSWER_SECONDS), trust_env=True
            ) as session,
            session.get(f"{address}/api/version"),
        ):
            return
    except (OSError, ValueError, aiohttp.ClientError) as error:
        raise ExecutionError(
            f"no Ray head answers at {address} ({str(error) or type(error).__name__}); check that "
            "it runs with a dashboard and that this machine can reach its port (for example "
            "through ssh -L 8265:localhost:8265)"
        ) from error


def _refused(address: str, reason: str) -> str:
    return (
        f"{address} refused the token ({reason.strip().splitlines()[0]}); set RAY_AUTH_MODE=token and "
        "RAY_AUTH_TOKEN_PATH to a file "
        "with the token that the cluster was started with (`ray get-auth-token` on the head prints it)"
    )


def _line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
