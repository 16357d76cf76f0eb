"""The report's node: what the page shows, and which tables it reads."""

from collections.abc import Iterable, Iterator

from pipeline.accounts import SUBSETS, attributes, focused_rows, judged_by, learnt_from, spending_of
from pipeline.config import PLACES, Experiment
from pipeline.data.examples import Examples
from pipeline.stages.convex_page import ConvexPage
from pipeline.stages.curve import Curve
from pipeline.stages.effect import Effect
from pipeline.stages.evaluate import FLOOR, Verdict
from pipeline.stages.fit import Score
from pipeline.stages.forget import Forget
from pipeline.stages.forget_curve import ForgetCurve
from pipeline.stages.influences import ExampleInfluences
from pipeline.stages.models import Models
from pipeline.stages.node import Node, Parent
from pipeline.stages.report import ReportPage
from pipeline.stages.train_further import TrainFurther
from pipeline.stages.unlearn import Unlearn


def report(experiment: Experiment, examples: Examples, nodes: Iterable[Node]) -> ReportPage:
    """Return the page about an experiment, which shows the tables of nodes."""
    nodes = list(nodes)
    judging = {node.judge_label for node in nodes if isinstance(node, Verdict)}
    learnt = learnt_from(experiment, examples) if attributes(experiment) else []
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
        populations=(*judged_by(experiment, examples), *learnt, *focused_rows(experiment, examples)),
        n_learnt_from=sum(row.n_models for row in learnt if row.role in SUBSETS),
        spending=spending_of(experiment, examples),
        layout=experiment.store.layout,
        tables=dict(_shown(nodes)),
        resources=experiment.resources.compute,
    )


def _shown(nodes: Iterable[Node]) -> Iterator[tuple[str, Parent]]:
    """Yield the parents of the page by the names under which it reads them."""
    for node in nodes:
        match node:
            case Models(role="full"):
                yield "full", Parent(node.key)
            case Models(role="oracle"):
                yield f"oracle/{node.forget_set}", Parent(node.key)
            case Score():
                yield "score", Parent(node.key)
            case ForgetCurve():
                yield "forget_curve", Parent(node.key)
            case Curve():
                yield "curve", Parent(node.key)
            case ExampleInfluences():
                yield "influences", Parent(node.key)
            case ConvexPage():
                yield "convex", Parent(node.key)
            case Effect():
                yield f"effect/{node.forget_set}", Parent(node.key)
            case Forget():
                yield f"forget/{node.forget_set}", Parent(node.key, "content")
            case Verdict() if node.method == FLOOR:
                yield f"floor/{node.judge_label}/{node.forget_set}", Parent(node.key)
            case Verdict():
                yield f"verdict/{node.judge_label}/{node.method}/{node.forget_set}", Parent(node.key)
            case TrainFurther():
                continue
            case Unlearn():
                yield f"unlearned/{node.method}/{node.forget_set}", Parent(node.key)
