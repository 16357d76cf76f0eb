"""`dmm attribute`: which points help or hurt a point, and what removing a forget set will change.

The tables that the answer needs are computed first, and no others.
"""

import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from rich.console import Console

from jobs.running.planning import models_to_train
from jobs.running.progress_display import open_display
from jobs.running.publishing import publish_file, write_file
from jobs.session import Session, executor_opener
from pipeline.core.errors import ConfigError, DataError, ExecutionError
from pipeline.core.plugin_calls import named_failures
from pipeline.core.registry import plugin_name
from pipeline.core.settings.paths import with_absolute_paths
from pipeline.data.dataset import Dataset
from pipeline.data.examples import Examples
from pipeline.data.point_ids import IdError, parse_id
from pipeline.execution.selected_nodes import with_dependencies
from pipeline.execution.walk import Walk
from pipeline.graph.graph import NodeState
from pipeline.graph.node import Work
from pipeline.graph.nodes.effect import EffectNode
from pipeline.graph.nodes.fit import Fit
from pipeline.graph.nodes.forget import Forget
from pipeline.graph.nodes.influences import influences_of_points
from pipeline.graph.nodes.models import Models
from pipeline.graph.reading.attribution_shown import MARGIN, MOST_CHANGED, forecast_content, influence_content
from pipeline.graph.reading.forecast import forecast
from pipeline.graph.reading.points_shown import Pictures
from pipeline.results.attribution_content import ChangeContent, InfluenceContent, PointContent, WeightContent
from pipeline.show.figures.forecast_figure import forecast_figure
from pipeline.show.figures.influence_figure import influence_figure
from pipeline.show.figures.theme import png
from pipeline.show.report.attribution_words import forecast_words

ADD_ONE = "add one that does: --set unlearners.dm_direct.name=dm_direct"


def attribute_point(
    session: Session,
    screen: Console,
    *,
    target: str,
    top: int,
    output: str,
    picture: str | None,
    executor: str,
) -> dict[str, Any]:
    """Return the training points that help and hurt an output of target most, and write their picture.

    The answer is JSON-ready. target is the id of a point as a text, such as "12". output is `margin`, or the
    number of a class as a text, whose logit is then explained. top is the number of points listed on either
    side. picture is the path of a .png file; None is the store. Raises ConfigError or DataError before
    anything is computed.
    """
    examples = session.examples
    class_ = _class_of(output, examples.n_classes)
    point = _point_of(target, examples)
    _check(top, picture, examples.n_train)
    node = _fit_of(session)
    if class_ is not None and "logits" not in node.outputs:
        raise ConfigError(
            f"--class {class_} needs effects on logits, but this attribution covers margins only; "
            "leave --class out"
        )
    keys = {name: parent.key for name, parent in node.parents().items()}
    states = _compute(session, screen, keys.values(), executor)
    tables = {name: states[key].table for name, key in keys.items()}
    work = Work(
        start=0, stop=1, store=session.store, inputs=tables, examples=examples, device="cpu", kind="looped"
    )
    with named_failures(node.at_work()):
        (found,) = influences_of_points(node, work, np.array([point]), top=top, output=class_)
    pictures = Pictures.of(_dataset_of(session), examples)
    named = (
        {"output": MARGIN, "unit": "nats"}
        if class_ is None
        else {"output": f"logit of class {class_}", "unit": "logits"}
    )
    content = influence_content(found, pictures, **named)
    place = _write(
        session,
        screen,
        picture,
        f"point-{point}-{'margin' if class_ is None else f'class-{class_}'}",
        influence_figure(content),
    )
    return _influences_json(content) | {
        "top": top,
        "estimator": plugin_name(node.estimator),
        "n_models": _n_models(session),
        "picture": place,
    }


def predict_removal(
    session: Session, screen: Console, *, label: str, top: int, picture: str | None, executor: str
) -> dict[str, Any]:
    """Return what removing the forget set called label will change, and write its picture.

    The answer is JSON-ready. It lists the top points whose margins change most, of the forget set and of all
    other points. picture is the path of a .png file; None is the store. No oracle is trained, and nothing is
    unlearned.
    """
    sets = session.experiment.forget_sets
    if label not in sets:
        raise ConfigError(f"unknown forget set {label!r}; known: {', '.join(sets)}")
    _check(top, picture, session.examples.n_train)
    node = _fit_of(session)
    graph = session.graph
    effect = graph.find(EffectNode, forget_set=label)
    if effect is None:
        raise ConfigError(
            f"no unlearner of this config uses predicted effects, so there are none to show; {ADD_ONE}"
        )
    keys = {
        "full": graph.get(Models, role="full").key,
        "effect": effect.key,
        "forget": graph.get(Forget, forget_set=label).key,
    }
    states = _compute(session, screen, keys.values(), executor)
    ids = session.store.read(states[keys["forget"]].table)["index"]
    tables = {name: states[keys[name]].table for name in ("full", "effect")}
    found = forecast(
        session.store, **tables, layout=session.experiment.store.layout, labels=session.examples.labels
    )
    content = forecast_content(
        found, label, ids, Pictures.of(_dataset_of(session), session.examples), top=max(top, MOST_CHANGED)
    )
    return {
        "forget_set": label,
        "unit": "nats",
        "splits": {
            name: {key: value for key, value in vars(split).items() if value is not None}
            for name, split in content.splits.items()
        },
        "forget": [_change_json(change) for change in content.forget[:top]],
        "others": [_change_json(change) for change in content.others[:top]],
        "words": forecast_words(content),
        "estimator": plugin_name(node.estimator),
        "n_models": _n_models(session),
        "picture": _write(session, screen, picture, f"forget-{label}", forecast_figure(content)),
    }


def _compute(session: Session, screen: Console, keys: Iterable[str], executor: str) -> dict[str, NodeState]:
    """Compute the nodes called keys and all that they need, and return the states of all nodes.

    Raises ExecutionError that names the first shard that failed.
    """
    wanted = with_dependencies(session.graph, keys)
    opener = executor_opener(executor, session)
    states = session.graph.survey(session.store)
    if all(states[key].status == "done" for key in wanted):
        return states
    screen.print(
        f"{session.experiment.name}: computing the tables that this answer needs in "
        f"{session.store.uri}, {models_to_train(states, wanted)}. Ctrl-C stops it; the same "
        "command resumes it",
        soft_wrap=True,
    )
    display = open_display(screen)
    try:
        progress = Walk(
            session.graph, session.store, open_executor=opener, listeners=[display], wanted=wanted
        ).run()
    finally:
        display.stop()
    if progress.failures:
        failure = progress.failures[0]
        raise ExecutionError(
            f"{failure.key} {failure.start}-{failure.stop} failed: {failure.error}; fix the cause "
            "and run the same command again"
        )
    return dict(progress.states)


def _fit_of(session: Session) -> Fit:
    node = session.graph.find(Fit)
    if node is None:
        raise ConfigError(
            f"no unlearner of this config uses a datamodel, so there is none to read; {ADD_ONE}"
        )
    return node


def _dataset_of(session: Session) -> Dataset:
    """Return the data set with absolute paths, because its files may be read again for the true labels."""
    return with_absolute_paths(session.experiment.dataset)


def _point_of(target: str, examples: Examples) -> int:
    """Return the point that --target names.

    Raises ConfigError if target is not an id, and DataError if there is no such point.
    """
    try:
        point = parse_id(target)
    except IdError as error:
        raise ConfigError(f"--target: {error}") from error
    if point >= examples.n_points:
        last = examples.n_points - 1
        raise DataError(
            f"--target {point} is not the id of a point; training points are 0 to "
            f"{examples.n_train - 1}, validation points {examples.n_train} to {last}"
        )
    return point


def _class_of(output: str, n_classes: int) -> int | None:
    """Return the class whose logit is explained, None for the margin; raises ConfigError on other texts."""
    if output == MARGIN:
        return None
    try:
        found = parse_id(output)
    except IdError:
        found = n_classes
    if found >= n_classes:
        raise ConfigError(f"--class {output!r}: expected `{MARGIN}` or a class, 0 to {n_classes - 1}")
    return found


def _check(top: int, picture: str | None, n_train: int) -> None:
    if not 1 <= top <= n_train:
        raise ConfigError(f"--top {top}: expected 1 to {n_train}, the number of training points")
    if picture is not None:
        _check_picture(Path(picture))


def _check_picture(picture: Path) -> None:
    """Raise ConfigError unless a picture can be written at this path."""
    if picture.suffix != ".png" or not picture.parent.is_dir() or picture.is_dir():
        raise ConfigError(f"--output {picture}: expected the path of a .png file in a folder that exists")
    if not os.access(picture if picture.exists() else picture.parent, os.W_OK):
        raise ConfigError(f"--output {picture} cannot be written; choose a folder with write permission")


def _n_models(session: Session) -> int | None:
    """Return the number of models that the estimator learnt from, None if it needs no subset models."""
    node = _fit_of(session)
    return (
        sum(session.graph.nodes[key].n_units for key in node.subset_keys.values())
        if "subset" in node.estimator.needs
        else None
    )


def _write(session: Session, screen: Console, picture: str | None, name: str, figure: Figure) -> str:
    """Write a figure to the user's path, or to the store if there is none, and return its location."""
    content = png(figure)
    if picture is None:
        return publish_file(
            session.store, f"attribution-{session.experiment.name}-{name}.png", content, screen
        )
    write_file(Path(picture), content)
    return str(Path(picture).resolve())


def _influences_json(content: InfluenceContent) -> dict[str, Any]:
    return {
        "target": _point_json(content.target),
        "output": content.output,
        "unit": content.unit,
        "r2": content.r2,
        "helpful": [_weight_json(weight) for weight in content.helpful],
        "harmful": [_weight_json(weight) for weight in content.harmful],
    }


def _weight_json(weight: WeightContent) -> dict[str, Any]:
    return _point_json(weight.point) | {"weight": weight.weight, "standard_error": weight.standard_error}


def _change_json(change: ChangeContent) -> dict[str, Any]:
    numbers = {"before": change.before, "after": change.after, "standard_error": change.standard_error}
    return _point_json(change.point) | {
        name: value if math.isfinite(value) else None for name, value in numbers.items()
    }


def _point_json(point: PointContent) -> dict[str, Any]:
    return {"id": point.id, "split": point.split, "label": point.label, "is_flipped": point.is_flipped}
