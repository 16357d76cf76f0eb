"""Paths in notes are shown exactly, even if Markdown would change them elsewhere."""

import pytest

from pipeline.show.markdown import code_span


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/runs", "`/runs`"),
        ("a*b*_c_", "`a*b*_c_`"),
        ("a`b", "`` a`b ``"),
        ("``", "``` `` ```"),
        ("[x](y)", "`[x](y)`"),
    ],
)
def test_code_holds_its_text_as_it_is(text: str, shown: str) -> None:
    assert code_span(text) == shown
