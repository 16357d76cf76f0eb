"""The object stores that can hold a run, one entry each.

Every one puts an object at once or not at all, and can refuse to replace one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """How a kind of object store is spoken to.

    Fsspec's package for it, our extra that installs it, its options, and what it raises beside OSError.

    `passing` are those of them, as `module:Class`, that waiting may heal, as no server said what is wrong.
    `lister` is the package's own listing of one folder, where its public one asks a second time when nothing
    is there. `attributes` are set on the file system.
    """

    package: str
    extra: str
    credentials: str
    raises: tuple[str, ...]
    passing: tuple[str, ...]
    lister: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)


# Retrying is left to us where it can be: a create that a library repeats in silence would be taken for
# another's. Timeouts are s3fs's: 5 s to connect, 15 s of silence.
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
