"""A database gets its name only when it is complete."""

from pathlib import Path

import pytest
from mlflow import MlflowClient

from pipeline.tracking.mlflow.database import create_database


def test_a_database_is_made_once_and_nothing_else_is_left(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    create_database(uri)
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]
    made = (tmp_path / "mlflow.db").stat().st_ino
    create_database(uri)
    assert (tmp_path / "mlflow.db").stat().st_ino == made
    assert [found.name for found in MlflowClient(uri).search_experiments()] == ["Default"]


def test_a_database_that_is_not_whole_has_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(self: MlflowClient, max_results: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(MlflowClient, "search_experiments", interrupt)
    with pytest.raises(KeyboardInterrupt):
        create_database(f"sqlite:///{tmp_path}/mlflow.db")
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_another_process_made_meanwhile_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = MlflowClient.search_experiments

    def search_late(self: MlflowClient, max_results: int) -> list[object]:
        (tmp_path / "mlflow.db").write_text("another's")
        return search(self, max_results=max_results)

    monkeypatch.setattr(MlflowClient, "search_experiments", search_late)
    create_database(f"sqlite:///{tmp_path}/mlflow.db")
    assert (tmp_path / "mlflow.db").read_text() == "another's"


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "postgresql://me@127.0.0.1:9/none"])
def test_other_addresses_are_left_alone(uri: str) -> None:
    create_database(uri)
