"""What the environment says of Ray.

The job that this process was started as, and whether there is a token. Ray itself is not imported.
"""

import json
import os
from pathlib import Path

# Set by Ray's job supervisor for the entry point and nothing else.
VARIABLE = "RAY_JOB_CONFIG_JSON_ENV_VAR"


def is_ray_job() -> bool:
    """Return whether this process is the entry point of a Ray job, whose working folder is temporary and vanishes with it."""
    return bool(os.environ.get(VARIABLE))


def ray_job_id() -> str | None:
    """Return the submission id that `ray job` commands take, None outside of a job."""
    try:
        metadata = json.loads(os.environ.get(VARIABLE) or "{}").get("metadata") or {}
    except ValueError:
        return None
    return metadata.get("job_submission_id")


def auth_mode() -> str:
    """Return the mode in which to speak to a cluster where RAY_AUTH_MODE says none.

    Whoever has a token means to use it.
    """
    has_token = (
        any(os.environ.get(name) for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))
        or (Path.home() / ".ray" / "auth_token").is_file()
    )
    return "token" if has_token else "disabled"
