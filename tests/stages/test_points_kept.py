"""The page says how many points the models of each population keep."""

import re
from pathlib import Path

from tiny import open_at


def test_oracles_keep_what_forget_sets_leave_on_average(whole: Path) -> None:
    """Of 60 points, one forget set has 5 and the other 4."""
    session = open_at(whole)
    state = session.graph.survey(session.store)["report"]
    page = session.store.read_blob(state.table.folder, state.pieces[0].shard, "html").decode()
    words = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    assert "full 6 60 6 — oracle 12 56 12 — floor 12 56 12 —" in words
