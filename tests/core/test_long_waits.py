"""A long wait is announced once, with the newest reason; a short wait is not announced."""

import time

import pytest

from pipeline.core.errors import StoreAwayError
from pipeline.core.long_waits import SAID_FOR, Watch
from pipeline.store.files import PatientFiles
from pipeline.store.files import retrying as patient
from pipeline.store.files.local import LocalFiles


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is said of waits for stores."""
    lines: list[str] = []
    monkeypatch.setattr(patient, "WATCH", Watch(lines.append))
    return lines


def test_a_wait_is_said_once_and_an_end_in_time_not_at_all() -> None:
    lines: list[str] = []
    watch = Watch(lines.append)
    watch.end(watch.begin("in time", after=1e6))
    wait = watch.begin("for Ray", after=1e6)
    watch.tell(wait, "for Ray, which starts")
    for seconds in (0.0, 2e6, 3e6):
        watch.look(time.monotonic() + seconds)
    assert lines == ["for Ray, which starts"]


def test_what_is_slow_again_and_again_is_said_now_and_then() -> None:
    lines: list[str] = []
    watch = Watch(lines.append)
    now = time.monotonic() + 1e6
    for seconds in (0.0, 1.0, 2.0, SAID_FOR + 1.0):
        watch.begin("a slow disk", after=1e5)
        watch.look(now + seconds)
    assert lines == ["a slow disk"] * 2


def test_a_store_that_does_not_answer_at_all_is_named(said: list[str], tmp_path) -> None:
    class Hung(LocalFiles):
        def names(self, folder: str) -> list[str]:
            patient.WATCH.look(time.monotonic() + 4.0)
            return []

    assert PatientFiles(Hung(str(tmp_path))).names("") == []
    assert said == [f"the store at {tmp_path} has not answered yet; waiting for it"]


def test_a_store_that_is_away_is_named_with_the_reason(said: list[str], tmp_path) -> None:
    class Away(LocalFiles):
        def names(self, folder: str) -> list[str]:
            patient.WATCH.look(time.monotonic() + 4.0 * self.is_second())
            raise StoreAwayError("Stale file handle")

        def is_second(self) -> bool:
            tries.append(1)
            return len(tries) == 2

    tries: list[int] = []
    with pytest.raises(StoreAwayError, match="Stale file handle; the store did not answer"):
        PatientFiles(Away(str(tmp_path)), patience=0.5).names("")
    assert said == [f"the store at {tmp_path} cannot be reached: Stale file handle; waiting for it up to 0 s"]
