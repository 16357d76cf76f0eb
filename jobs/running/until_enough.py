"""Finds how many subset models are enough: trains more until a doubling hardly improves the LDS."""

import math
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Console

from jobs.running.progress_display import open_display
from jobs.session import Session, check_learnt_from, executor_opener, graph_of
from pipeline.core.errors import ConfigError
from pipeline.execution.walk import Walk
from pipeline.graph.costs import SUBSETS
from pipeline.graph.nodes.lds_curve import SHARES, CurveNode
from pipeline.graph.nodes.models import Models


@dataclass(frozen=True, kw_only=True)
class Enough:
    """The result of the search.

    session is the experiment with n_models subset models, of the wanted ones in the config. gain is the LDS
    that the last doubling up to n_models gained, None if it is unknown because shards failed.
    """

    session: Session
    n_models: int
    wanted: int
    gain: float | None
    tolerance: float

    @property
    def settings(self) -> list[str]:
        """The settings that make later commands use these models and train no more."""
        populations = self.session.experiment.populations
        counts = {"subset": populations.subset.n_models} | (
            {} if populations.designed is None else {"designed": populations.designed.n_models}
        )
        return [f"populations.{role}.n_models={n_models}" for role, n_models in counts.items()]

    def to_json(self) -> dict[str, Any]:
        """Return the answer, JSON-ready."""
        found = {
            "n_models": self.n_models,
            "wanted": self.wanted,
            "lds_gained_by_last_doubling": self.gain,
            "tolerance": self.tolerance,
        }
        return found | {"set": self.settings}

    def __str__(self) -> str:
        if self.gain is None:
            return f"{self.n_models:,} subset models: their score is unknown, because shards failed"
        gained = f"the last doubling gained {self.gain:+.4f} LDS, below {self.tolerance:g}"
        if self.gain < self.tolerance and self.n_models < self.wanted:
            keep = " ".join(f"--set {setting}" for setting in self.settings)
            return (
                f"{self.n_models:,} of {self.wanted:,} subset models are enough: {gained}. Add {keep} "
                "to later commands; without it they train the rest."
            )
        if self.gain < self.tolerance:
            return f"all {self.n_models:,} subset models are used: {gained}, so more would hardly help"
        return (
            f"all {self.n_models:,} subset models are used: the last doubling still gained {self.gain:+.4f} "
            "LDS, so more would help"
        )


def find_enough(
    session: Session, screen: Console, *, executor: str, tolerance: float, allow_missing: bool = False
) -> Enough:
    """Train subset models in doublings until the last doubling gained less than tolerance in LDS.

    The steps are an eighth, a quarter, a half and all of the models. Each step keeps the models of the step
    before and adds to them. The search also stops if the LDS is unknown because shards failed. Raises
    ConfigError if the tolerance is not a positive number, or if the experiment computes no LDS.
    """
    if not 0 < tolerance < math.inf:
        raise ConfigError(
            f"--tolerance {tolerance} must be above 0 and finite; it is the smallest gain in LDS "
            "that makes twice as many models worthwhile"
        )
    curve = session.graph.find(CurveNode, stage=CurveNode.stage)
    if curve is None:
        raise ConfigError(
            "--until-enough needs held-out models, an estimator of subset models and an unlearner that uses "
            "it; set populations.heldout and use `dmm`"
        )
    wanted = _count(session)
    experiments = [session.experiment.with_share_of_models(share) for share in SHARES]
    for experiment in experiments:
        check_learnt_from(experiment)
    # Two small shares may give the same number of models, because each role has at least 8. Such a step is
    # taken once.
    for experiment in (
        one for one, following in zip(experiments, [*experiments[1:], None], strict=True) if one != following
    ):
        part = replace(session, experiment=experiment, graph=graph_of(experiment, session.examples))
        screen.print(f"Checking whether {_count(part):,} subset models are enough")
        display = open_display(screen)
        try:
            open_executor = executor_opener(executor, part)
            walk = Walk(
                part.graph,
                part.store,
                open_executor=open_executor,
                listeners=[display],
                until=CurveNode.stage,
                allow_missing=allow_missing,
            )
            found = walk.run().states[curve.key]
        finally:
            display.stop()
        gain = None
        if found.status == "done":
            *_, before, last = part.store.read(found.table)["lds"].tolist()
            gain = last - before
        answer = Enough(session=part, n_models=_count(part), wanted=wanted, gain=gain, tolerance=tolerance)
        if gain is None or gain < tolerance:
            break
    screen.print(str(answer), style="bold", soft_wrap=True)
    return answer


def _count(session: Session) -> int:
    found = (session.graph.find(Models, role=role) for role in SUBSETS)
    return sum(node.n_units for node in found if node is not None)
