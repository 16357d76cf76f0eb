"""Reads from the environment whether this process is a Ray job and whether there is a token for Ray.

Ray itself is not imported.
"""

import json
import os
from pathlib import Path

# Ray's job supervisor sets this variable for the command of a job and for no other process.
VARIABLE = "RAY_JOB_CONFIG_JSON_ENV_VAR"


def is_ray_job() -> bool:
    """Return whether this process is the command that a Ray job was submitted with.

    The working folder of such a process is temporary and is deleted with the job.
    """
    return bool(os.environ.get(VARIABLE))


def ray_job_id() -> str | None:
    """Return the id of this Ray job, as `ray job` commands take it, or None outside a job."""
    try:
        metadata = json.loads(os.environ.get(VARIABLE) or "{}").get("metadata") or {}
    except ValueError:
        return None
    return metadata.get("job_submission_id")


def auth_mode() -> str:
    """Return the default of RAY_AUTH_MODE: `token` if this machine has a token for Ray, else `disabled`."""
    has_token = (
        any(os.environ.get(name) for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))
        or (Path.home() / ".ray" / "auth_token").is_file()
    )
    return "token" if has_token else "disabled"
