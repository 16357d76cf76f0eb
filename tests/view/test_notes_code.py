"""Paths in MLflow's notes are shown letter by letter, whatever Markdown makes of them elsewhere."""

import pytest

from pipeline.view.notes import code


@pytest.mark.parametrize(
    ("text", "shown"), [("/runs", "`/runs`"), ("a*b*_c_", "`a*b*_c_`"), ("a`b", "`` a`b ``"), ("``", "``` `` ```"), ("[x](y)", "`[x](y)`")]
)
def test_code_holds_its_text_as_it_is(text: str, shown: str) -> None:
    assert code(text) == shown
