"""Digests depend only on content, not on order, process or memory layout.

A value that JSON cannot hold is refused.
"""

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.fingerprint import DIGEST_LENGTH, canonical, digest, digest_arrays, digest_bytes

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=12,
)


@given(value=VALUES)
def test_canonical_text_is_json_that_gives_the_value_back(value):
    assert json.loads(canonical(value)) == value
    assert len(digest(value)) == DIGEST_LENGTH


@given(settings=st.dictionaries(st.text(), st.integers(), min_size=2))
def test_the_order_of_keys_does_not_matter(settings):
    assert digest(dict(reversed(settings.items()))) == digest(settings)


def test_another_process_finds_the_same_digest():
    code = "from pipeline.core.fingerprint import digest; print(digest({'b': [1, 0.1], 'a': 'ü'}), end='')"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == digest({"a": "ü", "b": [1, 0.1]})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, np.float32(1), b"bytes"])
def test_what_json_cannot_hold_exactly_is_refused(value):
    with pytest.raises((TypeError, ValueError)):
        digest([value])


def test_digest_of_arrays_sees_names_types_shapes_and_values():
    values = np.arange(6, dtype=np.int32)
    different = [
        {"a": values},
        {"b": values},
        {"a": values.reshape(2, 3)},
        {"a": values.astype(np.int64)},
        {"a": values.view(np.float32)},
        {"a": values[::-1]},
        {},
    ]
    assert len({digest_arrays(arrays) for arrays in different}) == len(different)


def test_digest_of_arrays_ignores_memory_layout_and_order_of_names():
    values = np.arange(12.0).reshape(3, 4)
    assert digest_arrays({"a": values, "b": values.T}) == digest_arrays(
        {"b": np.ascontiguousarray(values.T), "a": np.asfortranarray(values)}
    )


@given(content=st.binary(min_size=1), place=st.integers(0), bit=st.integers(0, 7))
def test_one_flipped_bit_changes_the_digest(content, place, bit):
    flipped = bytearray(content)
    flipped[place % len(content)] ^= 1 << bit
    assert digest_bytes(bytes(flipped)) != digest_bytes(content)
