"""The object stores that can hold a run, one entry for each.

Each of them writes an object whole or not at all, and can refuse to replace an object.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """The settings of one kind of object store.

    package: fsspec's package for it. extra: our extra that installs the package. credentials: where
    credentials come from, as told to users. raises: the exceptions of the package besides OSError, as
    `module:Class`. passing: exceptions after which another try may succeed, because the server did not report
    a cause. lister: the name of the package's own method that lists one folder, for packages whose public
    method sends a second request if nothing is there. options: arguments of the fsspec file system.
    attributes: attributes to set on it.
    """

    package: str
    extra: str
    credentials: str
    raises: tuple[str, ...]
    passing: tuple[str, ...]
    lister: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)


# The library's own retries are switched off, because PatientFiles repeats calls: if a library silently
# repeats a create, the file seems to be another writer's. Timeouts are those of s3fs: 5 s to connect, 15 s of
# silence.
S3 = Scheme(
    package="s3fs",
    extra="s3",
    credentials=(
        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the machine's role; AWS_ENDPOINT_URL for servers "
        "other than Amazon's"
    ),
    raises=(
        "botocore.exceptions:BotoCoreError",
        "botocore.exceptions:ClientError",
        "botocore.parsers:ResponseParserError",
        "aiohttp:ClientError",
    ),
    passing=(
        "botocore.exceptions:HTTPClientError",
        "botocore.exceptions:ConnectionError",
        "botocore.exceptions:IncompleteReadError",
        "botocore.parsers:ResponseParserError",
        "aiohttp:ClientError",
    ),
    lister="_lsdir",
    options={
        "config_kwargs": {
            "retries": {"total_max_attempts": 1, "mode": "standard"},
            "max_pool_connections": 32,
        }
    },
    attributes={"retries": 1},
)
GCS = Scheme(
    package="gcsfs",
    extra="gcs",
    credentials="GOOGLE_APPLICATION_CREDENTIALS, or the machine's service account",
    raises=(
        "gcsfs.retry:HttpError",
        "gcsfs.retry:ChecksumError",
        "google.auth.exceptions:GoogleAuthError",
        "aiohttp:ClientError",
    ),
    passing=("gcsfs.retry:ChecksumError", "google.auth.exceptions:TransportError", "aiohttp:ClientError"),
)
AZURE = Scheme(
    package="adlfs",
    extra="azure",
    credentials="AZURE_STORAGE_ACCOUNT_NAME with AZURE_STORAGE_ACCOUNT_KEY, or the machine's identity",
    raises=("azure.core.exceptions:AzureError",),
    passing=("azure.core.exceptions:ServiceRequestError", "azure.core.exceptions:ServiceResponseError"),
)
SCHEMES: Mapping[str, Scheme] = {"s3": S3, "gs": GCS, "gcs": GCS, "az": AZURE, "abfs": AZURE, "abfss": AZURE}
