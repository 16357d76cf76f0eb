"""YAML 1.2: decimal numbers, two truth values, no duplicate keys, and no input that exhausts memory."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.settings.yaml_text import DEEPEST, dump, load


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("17", 17),
        ("-3", -3),
        ("+5", 5),
        ("0", 0),
        ("5e-4", 5e-4),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("-.inf", float("-inf")),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
    ],
)
def test_numbers_truth_values_and_null_are_those_of_the_core_schema(text: str, value: object) -> None:
    found = load(f"a: {text}")["a"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    "text",
    [
        "00017",
        "017",
        "0o17",
        "0x1f",
        "0b11",
        "1_000",
        "1:30",
        "yes",
        "no",
        "on",
        "off",
        "y",
        "2024-01-01",
        "=",
        "<<",
        "1.2.3",
        "00.5",
    ],
)
def test_what_only_yaml_1_1_takes_for_something_else_is_text(text: str) -> None:
    assert load(f"a: {text}") == {"a": text}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2", r"key 'a' appears twice \(line 2"),
        ("a: {b: 1, b: 2}", "key 'b' appears twice"),
        ("17: 1", "key '17' is not text; put a key that is a number"),
        ("true: 1", "key 'true' is not text"),
        ("[1]: 2", "a list or mapping"),
        ("a: !!int 017", "'017' is not a YAML 1.2 int"),
        ("a: !!bool yes", "'yes' is not a YAML 1.2 bool"),
        ("a: !!float abc", "'abc' is not a YAML 1.2 float"),
        ("a: !!timestamp x", "could not determine a constructor"),
        ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("a: 1\n---\nb: 2", "but found another document"),
        ("a: &x [*x]", "levels deep"),
        ("[" * 3000 + "]" * 3000, f"nested more than {DEEPEST} levels deep"),
        ("a: \x00", "unacceptable character"),
        (f"a: {'9' * 5000}", "a number has 5000 digits"),
    ],
)
def test_what_is_unclear_or_endless_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(yaml.YAMLError, match=message) as refusal:
        load(text)
    assert "\n" not in str(refusal.value)


def test_aliases_that_multiply_are_refused() -> None:
    lines = ["a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [
        f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]"
        for old, new in zip("abcdefg", "bcdefgh", strict=True)
    ]
    with pytest.raises(yaml.YAMLError, match="holds more than"):
        load("\n".join(lines))


def test_a_mapping_may_take_over_the_settings_of_another() -> None:
    assert load("x: &x {a: 1, c: 3}\ny: {<<: *x, a: 2}")["y"] == {"a": 2, "c": 3}
    deeper = load("base: &base {k: 1, m: 3}\nx: {y: {a: &A {<<: *base, k: 2}}}\nc: {<<: *A, z: 1}")
    assert deeper["c"] == {"k": 2, "m": 3, "z": 1}


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8", exclude_categories=["C"])),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abyno017e.", max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(VALUES)
def test_what_is_written_is_read_back(value: object) -> None:
    assert load(dump(value)) == value
