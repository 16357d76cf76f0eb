"""Curves of a run in progress: their counts are right, and their memory is bounded.

The pace is that of the last seconds.
"""

from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import run_serially
from tracking.fakes import sample

from pipeline.execution.progress import Listener
from pipeline.results.tracked import PARENT
from pipeline.tracking.progress_samples import MOST_POINTS, Sampler, Samples
from pipeline.tracking.rate import Pace


class Looker(Listener):
    """Takes a sample whenever something finished."""

    def __init__(self) -> None:
        self.sampler, self.seen = Sampler(), []

    def changed(self, progress) -> None:
        self.seen.append(self.sampler.look(progress, {"train/scout": 100.0}))


def test_a_walk_is_counted_in_shards_models_failures_and_what_it_costs(open_tiny):
    looker = Looker()
    run_serially(open_tiny(), listeners=[looker], until="train")
    first, last = looker.seen[0][PARENT].metrics, looker.seen[-1][PARENT].metrics
    assert first["progress/models_done"] < last["progress/models_done"] == 20 + 10 + 2 + 6 + 6 + 2 * 12
    assert last["progress/shards_done"] == 4 + 2 + 1 + 2 + 2 + 2 * 4 + 2 + 1
    assert last["progress/retrainings"] == 20 * 0.5 + 10 * 0.7 + 2 + 6 * 0.5 + 6 + 2 * 12
    assert last["progress/core_seconds"] > 100
    assert (last["progress/shards_failed"], last["progress/models_left"]) == (0, 0)


@settings(max_examples=10)
@given(st.integers(0, 3 * MOST_POINTS))
def test_points_that_nobody_takes_never_pile_up(n_points):
    samples = Samples()
    for second in range(n_points):
        samples.add("train", sample(second))
    kept = [one.seconds for one in samples.take("train")]
    assert len(kept) <= MOST_POINTS
    assert kept == sorted(kept)
    assert kept[-1:] == ([n_points - 1] if n_points else [])


def test_samples_given_back_are_in_order_again():
    samples = Samples()
    samples.add("train", sample(3))
    samples.add("train", sample(1), sample(2))
    assert [one.seconds for one in samples.take("train")] == [1, 2, 3]
    assert not samples


def test_the_pace_is_that_of_the_last_seconds():
    pace = Pace(seconds=10.0)
    assert pace.update(0.0, 0) == 0
    assert [pace.update(second, 100 * second) for second in (1.0, 2.0, 3.0)] == [100, 100, 100]
    assert [round(pace.update(second, 300 + 10 * (second - 3)), 1) for second in (30.0, 40.0)][-1] == 10
    assert (Pace.seconds_left(50, 10.0), Pace.seconds_left(50, 0.0)) == (5, None)
