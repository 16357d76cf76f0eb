"""Notes in Markdown on top of each page: what a reader sees first of a stage, and how to go on from there."""

import re
import shlex
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.graph import Graph, NodeState
from pipeline.reporting.formatting import duration, nats, of_retraining, percent
from pipeline.runtime.store import Store
from pipeline.runtime.tracker import Results
from pipeline.stages.attribution import Attribution
from pipeline.stages.child_run import ChildRun
from pipeline.stages.convex_node import ConvexNode
from pipeline.stages.evaluate import SPLITS, Verdict
from pipeline.stages.forget import Forget
from pipeline.stages.models import Models
from pipeline.view.spent import spent_on

# Tables named in a note; tables.json among the artifacts names all.
MOST_TABLES = 8
# MLflow draws cells without any room between them, and none below a table.
GAP, AIR = "&nbsp;", "&nbsp;"
PURPOSES = {
    "subset": "random subsets, to learn from",
    "designed": "whole groups dropped, to learn from",
    "heldout": "random subsets, to score what was learnt",
    "full": "all points: to be unlearned",
    "scout": "look at the data",
    "oracle": "retrained without the set: the judges",
    "floor": "the same again: the noise floor",
    "focused_in": "with the set, one half of each pair",
    "focused_out": "without the set, the other half",
}


def note_of(run: ChildRun, graph: Graph, store: Store, states: Mapping[str, NodeState], results: Results) -> str:
    """Return what a child run is, what it made, what that cost, and where its tables are."""
    said, table = _body(run, graph, states, results)
    return "\n\n".join([part for part in (said, _cost(store, states.values()), table, AIR if table else "", _places(store, states), _commands(store)) if part])


def _body(run: ChildRun, graph: Graph, states: Mapping[str, NodeState], results: Results) -> tuple[str, str]:
    """Return the words and the table of a child run; one without a table of its own kind says what it shows."""
    for state in states.values():
        match state.node:
            case Forget():
                return run.note, _forget(graph, results)
            case Models():
                return run.note, _train(results)
            case Attribution():
                return _attribution(run.note, graph, results)
            case ConvexNode():
                return run.note, _convex(results)
            case Verdict():
                return _verdict(state.node, graph, results)
    return run.note or f"**{run.title}**", ""


def parent_note(*, headline: str, rows: Sequence[Mapping[str, Any]], verdicts: Mapping[str, str], links: Mapping[str, str], store: Store) -> str:
    """Return the summary of an experiment: a headline, the verdict on each forget set, the figures, and links to the pages of its stages."""
    parts = [f"### {headline}"]
    if verdicts:
        parts.append("\n".join(f"- **{label}**: {said}." for label, said in verdicts.items()))
    if rows:
        heads = ["forget set", "method", *(f"KLoM {split}" for split in SPLITS), "cost"]
        cells = [[row["forget_set"], row["unlearner"], *(nats(row[split]) for split in SPLITS), percent(row["cost"]["fraction"])] for row in rows]
        parts.append(markdown_table(heads, cells))
        parts.append(
            "KLoM in nats, 95th percentile over points: at the floor it is a retrained model, 11.51 is the worst; cost of one request, of one retraining. "
            "`report.html` among the artifacts tells the whole story."
        )
    if links:
        parts.append("Pages: " + " · ".join(f"[{title}]({address})" for title, address in links.items()))
    parts.append(_commands(store))
    return "\n\n".join(parts)


def code(text: str) -> str:
    """Return text as Markdown shows it letter by letter, whatever backticks it holds."""
    longest = max((len(ticks) for ticks in re.findall("`+", text)), default=0)
    fence, room = "`" * (longest + 1), " " if longest else ""
    return f"{fence}{room}{text}{room}{fence}"


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a table, numbers to the right; what stands for a column in a label is escaped."""
    cells = [[str(cell).replace("|", "\\|") for cell in row] for row in rows]
    sides = ["---:" if column and all(cell[:1].isdigit() for cell in column) else ":---" for column in zip(*cells, strict=True)] or [":---"] * len(heads)
    lines = [[f"{GAP}{head}{GAP}" for head in heads], sides, *([f"{GAP}{cell}{GAP}" for cell in row] for row in cells)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _forget(graph: Graph, results: Results) -> str:
    rows = [[label, graph.experiment.forget_sets[label].name, len(results.tables.get(label, ()))] for label in graph.experiment.forget_sets]
    return markdown_table(["forget set", "rule", "points"], rows)


def _train(results: Results) -> str:
    rows = [
        [
            row["population"],
            PURPOSES.get(row["role"], ""),
            f"{row['models']:,}",
            f"{row['validation_accuracy_mean']:.3f}",
            duration(row["core_seconds"]),
        ]
        for row in results.tables.get("populations", ())
    ]
    return markdown_table(["population", "what for", "models", "accuracy", "core time"], rows)


def _attribution(note: str, graph: Graph, results: Results) -> tuple[str, str]:
    said, metrics = [note, f"Estimator: `{graph.experiment.estimator.name}`."], results.metrics
    if "lds" in metrics:
        said.append(
            f"**LDS {metrics['lds']:.3f}** ({metrics['lds_low']:.3f} to {metrics['lds_high']:.3f}): the rank correlation of predicted and actual margins "
            "of subset models that were held out; 1 is perfect. Whether more models would help: figure `lds_by_models`."
        )
    heads = ["forget set", "largest change of a logit", "mean change", "mean standard error"]
    names = ("largest_change", "mean_change", "mean_standard_error")
    effects = [[row["forget_set"], *(f"{row[name]:.2f}" if name in row else "not known" for name in names)] for row in results.tables.get("effects", ())]
    return "\n\n".join(said), markdown_table(heads, effects) if effects else ""


def _convex(results: Results) -> str:
    heads = ["panel", "algorithm", "steps to 1 %"]
    rows = [[row["panel"], row["algorithm"], f"{row['steps_to_0.01']:,}"] for row in results.tables.get("steps", ()) if row["steps_to_0.01"] is not None]
    return markdown_table(heads, rows) if rows else ""


def _verdict(verdict: Verdict, graph: Graph, results: Results) -> tuple[str, str]:
    name, label = verdict.method, verdict.forget_set
    metrics = results.metrics
    unlearner = graph.experiment.unlearners.get(name)
    what = f"method `{unlearner.name}` on" if unlearner is not None else "the noise floor (independent retrained models) of"
    rows = [
        [split, nats(float(metrics[f"p95_klom_{split}"])), nats(float(metrics[f"mean_klom_{split}"])), f"{metrics[f'accuracy_{split}']:.3f}"]
        for split in SPLITS
    ]
    cost = f"One request costs {of_retraining(float(metrics['cost_fraction']))} for each model." if "cost_fraction" in metrics else ""
    said = f"**{name} / {label}**: {what} forget set `{label}`, judged against models retrained without it. {cost}"
    return said, markdown_table(["points", "KLoM, 95th percentile", "KLoM, mean", "accuracy"], rows)


def _cost(store: Store, states: Iterable[NodeState]) -> str:
    spent = spent_on(store, states)
    hosts = f" on {', '.join(spent.hosts[:4])}{' and others' if len(spent.hosts) > 4 else ''}" if spent.hosts else ""
    ended = "" if spent.written_at is None else f"; the last table was written {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime(spent.written_at))}"
    return f"Took {duration(spent.core_seconds)} of core time{hosts}{ended}."


def _places(store: Store, states: Mapping[str, NodeState]) -> str:
    tables = [f"- {code(key)}: {code(str(state.folder))}" for key, state in list(states.items())[:MOST_TABLES]]
    more = [f"- and {len(states) - MOST_TABLES} more, all named in `tables.json` among the artifacts"] if len(states) > MOST_TABLES else []
    return "\n".join([f"Tables, below {code(store.uri)}:", "", *tables, *more])


def _commands(store: Store) -> str:
    commands = {
        "run": "computes what is missing, and nothing twice",
        "watch": "looks on while it runs",
        "verify": "reads every byte and names what is damaged",
    }
    place = shlex.quote(store.uri)
    said = [f"- {code(f'dmm {verb} config.yaml --store {place}')} {what}" for verb, what in commands.items()]
    return "\n".join(["From here, with `config.yaml` of the parent run:", "", *said])
