"""Notes are never longer than what a server keeps of them."""

import pytest

from pipeline.runtime.store import Store
from pipeline.runtime.tracker import MOST_OF_NOTE
from pipeline.show.tables import Table, number_column, row_of, table_of, word_column
from pipeline.view.notes import parent_note


def results(n_rows: int, n_columns: int) -> Table:
    columns = [word_column("unlearner"), *(number_column(f"judge {place}") for place in range(n_columns))]
    return table_of(columns, [row_of(f"method {row}", *[0.5] * n_columns) for row in range(n_rows)])


def note_of_results(tmp_path, tables, n_links=4):
    return parent_note(
        headline="Done",
        tables=tables,
        verdicts={"some": "forgotten"},
        links={f"page {place}": f"#/experiments/1/runs/{'0' * 32}{place}" for place in range(n_links)},
        store=Store(str(tmp_path)),
    )


@pytest.mark.parametrize(
    ("n_rows", "n_links", "there", "not_there"),
    [
        (3, 4, ["judge 8", "page 3"], ["more, listed"]),
        (30, 4, ["judge 0", "method 29", "page 3"], ["judge 1", "more, listed"]),
        (30, 70, ["judge 0", "method 29", "page 7", "and 62 more, listed as child runs"], ["judge 1", "page 8"]),
        (400, 40, ["page 7", "and 32 more"], ["judge 0", "method 1", "page 8"]),
    ],
)
def test_a_note_that_would_be_cut_says_less(tmp_path, n_rows, n_links, there, not_there):
    note = note_of_results(tmp_path, [results(n_rows, 9), results(n_rows, 1)], n_links)
    assert len(note) <= MOST_OF_NOTE
    assert [word for word in there if word not in note] == []
    assert [word for word in not_there if word in note] == []
    assert "dmm verify config.yaml" in note
    assert "`report.html` among the artifacts" in note
