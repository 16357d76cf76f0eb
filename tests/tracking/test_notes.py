"""The note of the parent run fits into MLflow's limit: no part of it is cut off in the middle."""

from pathlib import Path

import pytest

from pipeline.results.tables import Column, Section, Table, row_of
from pipeline.results.tracked import MOST_IN_NOTE
from pipeline.store.store import Store
from pipeline.tracking.notes import parent_note
from pipeline.tracking.pages import Pages


def note(place: Path, n_sets: int, n_links: int) -> str:
    row = row_of(*("about as wide as a result" for _ in range(5)))
    sections = tuple(Section(title=f"set {number}", rows=(row,) * 5) for number in range(n_sets))
    table = Table(columns=tuple(Column(f"column {number}") for number in range(5)), sections=sections)
    links = {f"4 coherent: method {number}": "#/experiments/1/runs/" + 32 * "a" for number in range(n_links)}
    verdicts = {f"set {number}": "it does, as far as can be told" for number in range(n_sets)}
    about = {"headline": "Something works", "verdicts": verdicts, "links": links}
    return parent_note(**about, table=table, store=Store(str(place)))


@pytest.mark.parametrize(("n_sets", "n_links"), [(1, 3), (1, 60), (40, 3), (200, 3)])
def test_a_note_of_any_experiment_ends_with_the_commands(tmp_path: Path, n_sets: int, n_links: int) -> None:
    written = note(tmp_path, n_sets, n_links)
    assert len(written) <= MOST_IN_NOTE
    assert "dmm verify config.yaml --store" in written.splitlines()[-1]


def test_a_short_note_has_all_links_and_a_long_one_says_what_it_leaves_out(tmp_path: Path) -> None:
    assert note(tmp_path, 1, 3).count("](#/experiments/1/runs/") == 3
    assert "Results on" not in note(tmp_path, 1, 3)
    assert "more forget sets are in the report" in note(tmp_path, 40, 3)


@pytest.mark.usefixtures("finished")
def test_the_note_of_a_stage_leaves_out_rows_that_do_not_fit(
    open_tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = (row_of("about as wide as a population"),) * 300
    table = Table(columns=(Column("population"),), sections=(Section(rows=rows),))
    monkeypatch.setattr("pipeline.tracking.notes.note_table", lambda *_: table)
    session = open_tiny()
    pages, states = Pages(session.graph, session.store), session.graph.survey(session.store)
    written = pages.results(next(iter(pages.titles)), states).note
    assert len(written) <= MOST_IN_NOTE
    assert "more rows are in the tables among the artifacts" in written
    assert "dmm verify config.yaml --store" in written.splitlines()[-1]
