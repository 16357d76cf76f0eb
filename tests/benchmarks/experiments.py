"""Variants of the embedded demonstration, run through the pipeline and judged.

The quality benchmarks share this module.
"""

import contextlib
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.session import Session, executor_opener, open_session, read_experiment
from pipeline.core.registry import describe
from pipeline.execution.walk import Walk
from pipeline.graph.costs import spending_of
from pipeline.graph.result_rows import Spending
from pipeline.tracking.result_pages import result_rows


@contextlib.contextmanager
def opened_store(path: str | None) -> Iterator[str]:
    """Yield path, or a temporary folder that is removed afterwards."""
    if path is not None:
        yield str(Path(path).resolve())
        return
    with tempfile.TemporaryDirectory() as folder:
        yield folder


def demonstration_unlearners(labels: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the settings of the demonstration's unlearners of these labels."""
    unlearners = read_experiment(None, (), None).unlearners
    return {label: describe(unlearners[label]) for label in labels}


@dataclass(frozen=True)
class Judged:
    """A run of the demonstration with other settings, up to its verdicts.

    rows has one row for each unlearner and forget set.
    """

    session: Session
    rows: list[dict[str, Any]]

    @property
    def spending(self) -> Spending:
        """The cost of everything before unlearning."""
        return spending_of(self.session.experiment, self.session.examples)


# The smallest size of a benchmark that judges variants of the demonstration.
SMALLEST: dict[str, Any] = {
    "executor": "serial",
    "at_most": 4,
    "set": [
        "recipe.epochs=1",
        "recipe.ensemble=stacked",
        "populations.scout.n_models=2",
        "judges={klom: {n_resamples: 20}, accuracy: {}}",
    ],
}


# These benchmarks learn from the default number of models, which is twice that of the demonstration.
LEARNT_FROM = ("populations.subset.n_models=1000", "populations.designed.n_models=2000")


def fewer_models(changed: Sequence[str], at_most: int) -> list[str]:
    """Return the settings that limit the populations of the changed demonstration to at_most models."""
    populations = read_experiment(None, changed, None).populations
    large = [role for role, members in populations if getattr(members, "n_models", 0) > at_most]
    return [f"populations.{role}.n_models={at_most}" for role in large]


def judge(
    store: str,
    executor: str,
    settings: Mapping[str, Any],
    overrides: Sequence[str] = (),
    *,
    until: str = "evaluate",
    at_most: int | None = None,
) -> Judged:
    """Run the demonstration with other settings up to its verdicts, or up to an earlier stage.

    It learns from LEARNT_FROM unless settings say otherwise.
    Tables that the store has already are not computed again. With at_most no population has more models than
    that.
    """
    changed = [*LEARNT_FROM, *(f"{key}={json.dumps(value)}" for key, value in settings.items())]
    fewer = [] if at_most is None else fewer_models(changed, at_most)
    session = open_session(None, [*changed, *fewer, *overrides, "tracking.uri=none"], store)
    progress = Walk(
        session.graph, session.store, open_executor=executor_opener(executor, session), until=until
    ).run()
    if progress.failures:
        raise SystemExit(
            f"{len(progress.failures)} shards failed, the first {progress.failures[0].key}: "
            f"{progress.failures[0].error}"
        )
    return Judged(session, result_rows(session.graph, session.store, session.graph.survey(session.store)))
