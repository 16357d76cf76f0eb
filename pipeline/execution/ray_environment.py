"""What the environment tells about Ray: the job of this process and the token. Ray itself is not imported."""

import json
import os
from pathlib import Path

# Ray's job supervisor sets this for the entry point and for no other process.
VARIABLE = "RAY_JOB_CONFIG_JSON_ENV_VAR"


def is_ray_job() -> bool:
    """Return whether this process is the entry point of a Ray job.

    The working folder of such a process is temporary and is deleted with the job.
    """
    return bool(os.environ.get(VARIABLE))


def ray_job_id() -> str | None:
    """Return the submission id that `ray job` commands take, or None outside a job."""
    try:
        metadata = json.loads(os.environ.get(VARIABLE) or "{}").get("metadata") or {}
    except ValueError:
        return None
    return metadata.get("job_submission_id")


def auth_mode() -> str:
    """Return the authentication mode for a cluster if RAY_AUTH_MODE is not set.

    It is `token` if there is a token, else `disabled`.
    """
    has_token = (
        any(os.environ.get(name) for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))
        or (Path.home() / ".ray" / "auth_token").is_file()
    )
    return "token" if has_token else "disabled"
