"""Checks MLflow addresses before anything is computed, without importing MLflow."""

import importlib.metadata
import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from pipeline.core.errors import ConfigError
from pipeline.core.hidden_passwords import masked
from pipeline.core.settings.validation_errors import did_you_mean

SERVERS, DATABASES = ("http", "https"), ("sqlite", "postgresql", "mysql", "mssql")
DATABRICKS = ("databricks", "databricks-uc", "uc")
# The package to install for the module of a database driver, where the two names differ.
PACKAGES = {"psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient"}
EXPECTED = "expected a server (http://HOST:PORT), a database (sqlite:////absolute/path/mlflow.db) or none"
# MLflow's limit for the name of an experiment, in characters.
_LONGEST_NAME = 500


def check_form(uri: str) -> None:
    """Raise ConfigError unless MLflow accepts an address of this form.

    No driver or server is looked for, so an address that only another machine will use can be checked too.
    """
    shown = f"tracking URI {masked(uri)!r}"
    if uri.lower() == "none" or uri in DATABRICKS:
        return
    if uri != uri.strip() or re.search(r"\s", uri.partition("?")[0].partition("sqlite:")[0]):
        raise ConfigError(f"{shown} contains spaces; {EXPECTED}")
    scheme, mark, rest = uri.partition("://")
    if not mark:
        raise ConfigError(f"{shown} {_why_no_address(uri)}")
    kind = scheme.partition("+")[0]
    if kind == "file":
        raise ConfigError(f"{shown} {_FOLDER}")
    if kind not in (*SERVERS, *DATABASES, *DATABRICKS, *_plugged_in()):
        raise ConfigError(
            f"{shown}: unknown scheme {scheme!r}; {EXPECTED}.{did_you_mean(scheme, (*SERVERS, *DATABASES))}"
        )
    if kind == "sqlite":
        _check_sqlite(shown, rest)
    elif kind in SERVERS or kind in DATABASES:
        _check_host(shown, uri, kind)


def check_driver_installed(uri: str, *, store_root: Path | None) -> None:
    """Raise ConfigError if this machine cannot use an address that check_form accepts.

    The driver of a database, the folder of an SQLite file or a Databricks workspace may be missing. The
    folder may be store_root, because a run creates its store.
    """
    kind = uri.partition("://")[0].partition("+")[0]
    if kind in DATABASES and kind != "sqlite":
        _check_driver(uri)
    if kind == "sqlite":
        folder = Path(uri.partition(":///")[2].partition("?")[0]).absolute().parent
        if not folder.is_dir() and folder != store_root:
            raise ConfigError(
                f"tracking URI {uri!r}: folder {folder} does not exist; make it, or give another"
            )
    if uri.partition(":")[0] in DATABRICKS and not _knows_databricks():
        raise ConfigError(
            f"tracking URI {uri!r} needs a workspace; set DATABRICKS_HOST and DATABRICKS_TOKEN, or run "
            "`databricks configure`"
        )


def is_in_store(address: str) -> bool:
    """Return whether MLflow at this address keeps its artifacts in the store.

    A tracking server chooses another place for artifacts.
    """
    return address.partition(":")[0] not in (*SERVERS, *DATABRICKS)


def check_experiment_name(name: str) -> None:
    """Raise ConfigError unless MLflow accepts name as the name of an experiment."""
    if not name.strip() or name != name.strip() or not name.isprintable() or len(name) > _LONGEST_NAME:
        raise ConfigError(
            f"tracking.experiment {name[:80]!r} is not the name of an MLflow experiment; expected 1 to "
            f"{_LONGEST_NAME} printable letters, "
            "no spaces around them, such as unlearning"
        )


_FOLDER = (
    "is a folder, which MLflow no longer accepts; use sqlite:////absolute/path/mlflow.db, a server "
    "(http://HOST:PORT) or none"
)


def _why_no_address(uri: str) -> str:
    """Return what is wrong with an address without `://`, and which address to write instead."""
    server = re.fullmatch(r"(https?):?/{0,2}(.*)", uri)
    if server and (uri.startswith((f"{server[1]}:", f"{server[1]}/"))):
        return f"is not an address; write {server[1]}://{server[2].lstrip('/') or 'HOST:PORT'}"
    if uri.startswith("sqlite:"):
        return (
            "is not an address; write "
            f"sqlite:///{uri.removeprefix('sqlite:').lstrip('/') or 'mlflow.db'}, with a fourth slash "
            "before an absolute path"
        )
    if re.fullmatch(r"(\[[0-9a-fA-F:]+\]|[\w.-]+):\d+(/.*)?", uri):
        return f"names no scheme; add http://: http://{uri}"
    return _FOLDER


def _check_sqlite(shown: str, rest: str) -> None:
    path = rest.partition("?")[0]
    if not rest.startswith("/") and path:
        raise ConfigError(
            f"{shown} has two slashes where SQLite needs three; write sqlite:///{rest}, with a fourth before "
            "an absolute path"
        )
    if path.strip("/") in ("", ":memory:"):
        raise ConfigError(
            f"{shown} names no file, so everything would be lost at the end of the run; write "
            "sqlite:////absolute/path/mlflow.db"
        )
    if path.endswith("/") or Path(path[1:]).is_dir():
        raise ConfigError(
            f"{shown} names a folder; name a file in it, such as "
            f"{shown.split()[-1][1:-1].rstrip('/')}/mlflow.db"
        )


def _check_host(shown: str, uri: str, kind: str) -> None:
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError(f"{shown} is not an address ({error}); {EXPECTED}") from error
    if port == 0 or (kind in SERVERS and not host):
        raise ConfigError(f"{shown} has no {'host' if not host else 'valid port'}; {EXPECTED}")


def _check_driver(uri: str) -> None:
    """Raise ConfigError unless the database driver of uri is installed.

    SQLAlchemy looks for the driver, because MLflow opens databases with SQLAlchemy.
    """
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    shown = f"tracking URI {masked(uri)!r}"
    try:
        make_url(uri).get_dialect().import_dbapi()
    except ImportError as error:
        module = error.name or "its driver"
        remedy = (
            f"pip install {PACKAGES.get(module, module)}, name a driver that is installed (such as "
            "postgresql+psycopg2://), or give a server"
        )
        raise ConfigError(
            f"{shown} needs the Python module {module}, which cannot be imported; {remedy}"
        ) from error
    except (ArgumentError, ValueError) as error:
        raise ConfigError(f"{shown} is not the address of a database ({error}); {EXPECTED}") from error


def _plugged_in() -> list[str]:
    return [entry.name for entry in importlib.metadata.entry_points(group="mlflow.tracking_store")]


def _knows_databricks() -> bool:
    settings = Path(os.environ.get("DATABRICKS_CONFIG_FILE") or "~/.databrickscfg").expanduser()
    return bool(os.environ.get("DATABRICKS_HOST")) or settings.is_file()
