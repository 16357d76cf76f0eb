"""Seeds follow from their purpose, never from the order of calls."""

import subprocess
import sys

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.seeds import generator, seed

PURPOSES = st.lists(st.text(max_size=8) | st.integers(-5, 2**70), min_size=1, max_size=4)


@given(purpose=PURPOSES)
def test_seeds_fit_torch_and_numpy(purpose):
    assert 0 <= seed(*purpose) < 2**63


@given(one=PURPOSES, other=PURPOSES)
def test_different_purposes_have_different_seeds(one, other):
    assert (seed(*one) == seed(*other)) == (one == other)


def test_parts_of_a_purpose_do_not_run_together():
    assert len({seed("a", 11), seed("a1", 1), seed("a", 1, 1), seed("a", "11")}) == 4


def test_another_process_draws_the_same():
    code = "from pipeline.core.seeds import generator; print(generator('mask', 7).integers(1 << 60), end='')"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(answer.stdout) == generator("mask", 7).integers(1 << 60)


def test_numpys_global_generator_is_not_touched():
    before = np.random.get_state()[1].copy()
    generator("anything").normal(size=100)
    assert np.array_equal(np.random.get_state()[1], before)
