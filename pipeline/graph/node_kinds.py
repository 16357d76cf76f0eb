"""The table of all kinds of nodes, in the order of their stages.

The names of stages and of entries are read from this table. To add a stage, write one class and add one line
to NODES.
"""

from collections.abc import Iterable

from pipeline.core.errors import ConfigError
from pipeline.core.settings.validation_errors import did_you_mean
from pipeline.graph.node import Node
from pipeline.graph.nodes.effect import EffectNode
from pipeline.graph.nodes.evaluate import VerdictNode
from pipeline.graph.nodes.fit import Factor, Fit, ScoreNode
from pipeline.graph.nodes.forget import Forget
from pipeline.graph.nodes.forget_curve import ForgetCurve
from pipeline.graph.nodes.groups import Groups
from pipeline.graph.nodes.imported import Evaluated, Imported
from pipeline.graph.nodes.influences import ExampleInfluences
from pipeline.graph.nodes.lds_curve import CurveNode
from pipeline.graph.nodes.report import ReportPage
from pipeline.graph.nodes.study import StudyNode
from pipeline.graph.nodes.train import Population
from pipeline.graph.nodes.train_further import TrainFurther
from pipeline.graph.nodes.unlearn import Unlearn
from pipeline.graph.nodes.views import ViewsOfPoints
from pipeline.studies import STUDIES

NODES: tuple[type[Node], ...] = (
    Forget,
    Groups,
    ViewsOfPoints,
    Population,
    Imported,
    Evaluated,
    Factor,
    Fit,
    ScoreNode,
    CurveNode,
    EffectNode,
    ExampleInfluences,
    Unlearn,
    TrainFurther,
    VerdictNode,
    ForgetCurve,
    *(kind for study in STUDIES.plugins for kind in study.kinds),
    StudyNode,
    ReportPage,
)


def stages() -> tuple[str, ...]:
    """Return the stages in the order in which a run reaches them."""
    return tuple(dict.fromkeys(node.stage for node in NODES))


def by_title(nodes: Iterable[Node]) -> dict[str, list[Node]]:
    """Return nodes by their titles on progress bars, in the order of the stages."""
    order = stages()
    found: dict[str, list[Node]] = {}
    for node in sorted(nodes, key=lambda node: order.index(node.stage)):
        found.setdefault(node.title, []).append(node)
    return found


def entries() -> dict[str, tuple[str, ...]]:
    """Return the stages of each entry; all entries in order are a whole run.

    An entry is a stage of the command line, such as `train` in `dmm run --only train`. Its stages need only
    stages of the same entry or of earlier ones. Forget sets and all populations share an entry: some sets are
    known only after the full models are trained, and oracles and focused models wait for their sets.
    """
    found: dict[str, dict[str, None]] = {}
    for node in NODES:
        found.setdefault(node.entry, {})[node.stage] = None
    return {entry: tuple(members) for entry, members in found.items()}


def check_stage(stage: str) -> None:
    """Raise ConfigError if there is no stage of this name."""
    if stage not in stages():
        known = dict.fromkeys((*entries(), *stages()))
        raise ConfigError(
            f"unknown stage {stage!r}; known: {', '.join(entries())}, kinds of tables in their order "
            f"({', '.join(stages())}), and names of tables (see `dmm status`).{did_you_mean(stage, known)}"
        )
