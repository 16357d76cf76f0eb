"""The walk that computes, what it tells of itself, and what becomes of shards that fail."""

from pipeline.run.failures import Failure, failures_of, read_failures
from pipeline.run.progress import Listener, Progress
from pipeline.run.walk import Walk
from pipeline.run.wanted import wanted_keys, with_what_they_rest_on

__all__ = ["Failure", "Listener", "Progress", "Walk", "failures_of", "read_failures", "wanted_keys", "with_what_they_rest_on"]
