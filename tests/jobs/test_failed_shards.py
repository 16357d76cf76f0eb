"""`dmm status` names given-up shards on any machine, and a run reports once what it waits for."""

import io
import json
from pathlib import Path
from types import SimpleNamespace

from terminal import Dmm, answer

from jobs.options import plain_console
from jobs.running.progress_display import Notice

NOTE = {
    "error": "ValueError: [red]poison[/red]",
    "trace": "Traceback",
    "tries": 3,
    "n_lost": 0,
    "host": "spot-7",
}


def test_a_status_names_failed_shards_from_any_machine(dmm: Dmm, tmp_path: Path) -> None:
    asked = ["status", "tiny.yaml", "--store", "store", "--json"]
    before = answer(dmm(*asked)[1])
    folder = next(node["folder"] for node in before["nodes"] if node["node"] == "train/subset")
    note = tmp_path / "store" / "failures" / folder / "members-000005-000010.json"
    note.parent.mkdir(parents=True)
    note.write_text(json.dumps(NOTE))
    status, out, _ = dmm(*asked)
    assert (status, before["failed_shards"]) == (0, [])
    assert answer(out)["failed_shards"] == [
        {
            "node": "train/subset",
            "start": 5,
            "stop": 10,
            "error": "ValueError: [red]poison[/red]",
            "tries": 3,
            "host": "spot-7",
        }
    ]
    assert "failed shard: train/subset 5-10, given up after 3 tries: ValueError: [red]poison[/red]" in out
    assert (
        "given up: train/subset 5-10: ValueError: [red]poison[/red]; `dmm run` tries again"
        in dmm("watch", "tiny.yaml", "--store", "store", "--once")[1]
    )


def test_what_a_run_waits_for_is_said_once_each_time() -> None:
    out = io.StringIO()
    notice = Notice(plain_console(file=out, width=200))
    for said in ("waiting for a node", "waiting for a node", "", "waiting for a node"):
        notice.update(SimpleNamespace(notice=said))
    assert out.getvalue().count("waiting for a node") == 2
