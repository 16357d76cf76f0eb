"""The node of the report: what the page shows, and which tables it reads."""

from collections.abc import Iterable, Iterator, Mapping

from pipeline.config import PLACES, Experiment
from pipeline.config.proxies import is_proxy
from pipeline.data.examples import Examples
from pipeline.graph.builders.judge_nodes import population_keys
from pipeline.graph.costs import (
    SUBSETS,
    attributes,
    focused_rows,
    judged_by,
    learnt_from,
    roles_used,
    spending_of,
    trained_besides,
)
from pipeline.graph.node import Node, Parent
from pipeline.graph.nodes.effect import EffectNode
from pipeline.graph.nodes.evaluate import FLOOR, VerdictNode
from pipeline.graph.nodes.fit import ScoreNode
from pipeline.graph.nodes.forget import Forget
from pipeline.graph.nodes.forget_curve import ForgetCurve
from pipeline.graph.nodes.influences import ExampleInfluences
from pipeline.graph.nodes.lds_curve import CurveNode
from pipeline.graph.nodes.models import Models
from pipeline.graph.nodes.report import POPULATION, ReportPage
from pipeline.graph.nodes.study import StudyPage
from pipeline.graph.nodes.train import FOCUSED_IN, FOCUSED_OUT, Population
from pipeline.graph.nodes.train_further import TrainFurther
from pipeline.graph.nodes.unlearn import Unlearn
from pipeline.results.report_content import ReportRenderer

# The names under which the page reads tables of these kinds. The experiment, or each forget set, has one such
# table.
_NAMES: Mapping[type[Node], str] = {
    ScoreNode: "score",
    CurveNode: "curve",
    ForgetCurve: "forget_curve",
    ExampleInfluences: "influences",
    EffectNode: "effect",
    Forget: "forget",
}


def report_node(
    experiment: Experiment, examples: Examples, nodes: Iterable[Node], draw: ReportRenderer
) -> ReportPage:
    """Return the node of the page about an experiment, which shows the tables of nodes."""
    nodes = list(nodes)
    judging = {node.judge_label for node in nodes if isinstance(node, VerdictNode)}
    learnt = learnt_from(experiment, examples) if attributes(experiment) else []
    rows = [*judged_by(experiment, examples), *learnt, *focused_rows(experiment, examples)]
    return ReportPage(
        key="report",
        experiment_name=experiment.name,
        experiment=experiment.model_dump(mode="json", exclude=set(PLACES)),
        identity=experiment.identity(),
        dataset=experiment.dataset,
        forget_sets=experiment.forget_sets,
        unlearners=experiment.unlearners,
        judges={label: judge for label, judge in experiment.judges.items() if label in judging},
        estimator=experiment.estimator,
        populations=(*rows, *trained_besides(experiment, examples, rows)),
        n_learnt_from=sum(row.n_models for row in learnt if row.role in SUBSETS),
        spending=spending_of(experiment, examples),
        layout=experiment.store.layout,
        tables=dict(_shown(experiment, nodes)),
        draw=draw,
        studies={label: study.heading for label, study in experiment.all_studies().items()},
        resources=experiment.resources.compute,
    )


def _shown(experiment: Experiment, nodes: Iterable[Node]) -> Iterator[tuple[str, Parent]]:
    """Yield the parents of the page by the names under which it reads them."""
    has_proxies = any(is_proxy(experiment, role) for role in roles_used(experiment))
    for node in nodes:
        name = _name_of(experiment, node, shows_time=has_proxies)
        if name is not None:
            of_set = "" if node.forget_set is None else f"/{node.forget_set}"
            yield f"{name}{of_set}", Parent(node.key, "content" if isinstance(node, Forget) else "evidence")


def _name_of(experiment: Experiment, node: Node, *, shows_time: bool) -> str | None:
    """Return the page's name for a node, without the forget set; None if the page does not read the node.

    With shows_time the page shows the time of every population that is trained here.
    """
    if isinstance(node, Models):
        if node.role in ("full", "oracle"):
            return node.role
        is_timed = shows_time and isinstance(node, Population)
        return f"{POPULATION}{_row_of(experiment, node)}" if is_timed else None
    if isinstance(node, StudyPage):
        return node.run.name
    if isinstance(node, VerdictNode):
        return (
            f"floor/{node.judge_label}"
            if node.method == FLOOR
            else f"verdict/{node.judge_label}/{node.method}"
        )
    if isinstance(node, TrainFurther):
        return None
    return f"unlearned/{node.method}" if isinstance(node, Unlearn) else _NAMES.get(type(node))


def _row_of(experiment: Experiment, node: Models) -> str:
    """Return the name of the row that counts a population, in the page's table of populations.

    The two focused populations share the row `focused`, so a suffix distinguishes their names.
    """
    if node.role in (FOCUSED_IN, FOCUSED_OUT):
        return f"focused/{node.role}"
    for label, judge in experiment.judges.items():
        for name, key in population_keys(label, judge, node.forget_set).items():
            if key == node.key:
                return f"{label}: {name}"
    return node.role
