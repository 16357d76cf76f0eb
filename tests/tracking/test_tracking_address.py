"""Addresses and names that MLflow can never use are refused before compute, with a correct form."""

from pathlib import Path

import pytest
from tiny import TINY

from pipeline import config
from pipeline.core.errors import ConfigError
from pipeline.core.settings.tracking_address import is_in_store
from pipeline.tracking.open_tracker import tracking_uri

REFUSED = {
    "localhost:5000": "add http://: http://localhost:5000",
    "mlflow.example.org:5000/path": "add http://",
    "[::1]:5000": "add http://",
    "http//host": "write http://host",
    "http:/host:5000": "write http://host:5000",
    "http:": "write http://HOST:PORT",
    "http://": "has no host",
    "http://:5000": "has no host",
    "http://host:99999": "Port out of range",
    "http://a b:5000": "contains spaces",
    " http://host": "contains spaces",
    " ": "contains spaces",
    "htp://localhost:5000": "unknown scheme 'htp'.*Did you mean 'http'",
    "HTTP://host": "unknown scheme 'HTTP'",
    "postgres://host/db": "Did you mean 'postgresql'",
    "s3://bucket/mlflow": "unknown scheme 's3'",
    "sqlite:relative.db": "write sqlite:///relative.db",
    "sqlite://relative.db": "write sqlite:///relative.db",
    "sqlite://": "names no file",
    "sqlite:///:memory:": "names no file",
    "sqlite:////tmp": "names a folder",
    "file:///data/mlruns": "is a folder, which MLflow no longer accepts",
    "mlruns": "is a folder, which MLflow no longer accepts",
}


@pytest.mark.parametrize(("uri", "said"), REFUSED.items())
def test_an_address_of_no_known_form_is_refused_wherever_it_comes_from(
    uri: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match=said):
        config.build(TINY | {"tracking": {"uri": uri}})
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(ConfigError, match=said):
        tracking_uri(None, store_root=tmp_path)


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("mysql://host/db", "needs the Python module MySQLdb.*pip install mysqlclient"),
        ("mssql://host/db", "needs the Python module pyodbc.*pip install pyodbc"),
        ("postgresql+nothing://host/db", "is not the address of a database"),
        ("sqlite:///no/such/folder/x.db", "no/such/folder does not exist"),
        ("databricks", "set DATABRICKS_HOST"),
        ("databricks://profile", "set DATABRICKS_HOST"),
    ],
)
def test_what_this_machine_lacks_is_refused_only_where_it_is_used(
    uri: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABRICKS_HOST", raising=False)
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(ConfigError, match=said):
        tracking_uri(uri, store_root=tmp_path)
    assert tracking_uri(uri, store_root=tmp_path, used_here=False) == uri


@pytest.mark.parametrize(
    "uri",
    [
        "http://localhost:5000",
        "https://host/mlflow",
        "http://[::1]:5000",
        "postgresql+psycopg2://host/db",
        "sqlite:///x.db",
    ],
)
def test_an_address_that_can_work_is_taken(uri: str, tmp_path: Path) -> None:
    assert tracking_uri(uri, store_root=tmp_path) == uri


@pytest.mark.parametrize("name", ["", " ", "\t", " a", "a ", "a\nb", "x" * 501])
def test_an_experiment_needs_a_name(name: str) -> None:
    with pytest.raises(ConfigError, match="is not the name of an MLflow experiment"):
        config.build(TINY | {"tracking": {"experiment": name}})


@pytest.mark.parametrize("name", ["unlearning", "mine (2nd try)", "/Users/me@x/exp", "ünlearning"])
def test_other_names_are_the_users_own(name: str) -> None:
    assert config.build(TINY | {"tracking": {"experiment": name}}).tracking.experiment == name


@pytest.mark.parametrize(
    ("address", "in_store"),
    [
        ("sqlite:////a/mlflow.db", True),
        ("postgresql+psycopg2://host/db", True),
        ("http://host:5000", False),
        ("https://host", False),
        ("databricks", False),
        ("databricks-uc://profile", False),
        ("uc:https://host", False),
    ],
)
def test_only_a_database_leaves_artifacts_to_the_store(address: str, in_store: bool) -> None:
    assert is_in_store(address) == in_store
