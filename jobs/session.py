"""Opens an experiment: reads its config, loads its data and builds its graph.

Everything that can be checked without training is checked here, before compute is spent.
"""

import contextlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
import torch

from pipeline import config
from pipeline.config import Experiment
from pipeline.config.populations import PROXIES
from pipeline.config.proxies import check_fidelities, is_proxy, model_of, recipe_of
from pipeline.core.errors import ConfigError, DataError, InputsNotReadError, ShapeError, placed
from pipeline.core.settings.paths import with_absolute_paths
from pipeline.core.settings.type_hints import fits
from pipeline.data.dataset_digests import DATASET_DIGESTS
from pipeline.data.examples import Examples
from pipeline.data.masks import count_kept, count_kept_outside
from pipeline.execution.executor import Executor, SerialExecutor
from pipeline.execution.ray_environment import is_ray_job
from pipeline.execution.stored_digests import recall_digests
from pipeline.graph.builders.experiment_graph import build_graph
from pipeline.graph.builders.judge_nodes import check_judged
from pipeline.graph.builders.source_requirements import check_sources
from pipeline.graph.builders.start_populations import check_starts
from pipeline.graph.costs import fewest_learnt_from, in_one_fit, looks, needs_effects, roles_used
from pipeline.graph.graph import Graph
from pipeline.graph.shard_task import Task, compute_task, read_common
from pipeline.show.report.report_drawing import draw_report
from pipeline.store.files import local_folder
from pipeline.store.store import Store
from pipeline.training.ensemble import Builder, why_not_stackable
from pipeline.training.input_scale import check_scale
from pipeline.training.populations import check_model

# Messages use this name if no config is given.
DEMONSTRATION = "the demonstration"


@dataclass(frozen=True)
class Session:
    """A checked experiment with its data, its graph and its store."""

    experiment: Experiment
    examples: Examples
    graph: Graph
    store: Store


def demonstrations() -> list[str]:
    """Return the names of the configs in jobs/configs, such as `digits`."""
    return [
        entry.name.removesuffix(".yaml")
        for entry in (resources.files("jobs") / "configs").iterdir()
        if entry.name.endswith(".yaml")
    ]


def read_experiment(
    path: str | None, overrides: Sequence[str], store: str | None, demonstration: str = "digits"
) -> Experiment:
    """Return the experiment of the config file at path, or a demonstration of jobs/configs if path is None.

    overrides are settings such as `populations.subset.n_models=500`. store, if given, replaces store.uri of
    the config.
    """
    if path is not None:
        return config.read(path, overrides, store=store)
    with resources.as_file(resources.files("jobs") / "configs" / f"{demonstration}.yaml") as embedded:
        return config.build(config.read_tree(embedded), overrides, source=DEMONSTRATION, store=store)


def open_session(
    path: str | None,
    overrides: Sequence[str] = (),
    store: str | None = None,
    *,
    demonstration: str = "digits",
    reads_inputs: bool = True,
) -> Session:
    """Return a session after checking every setting, file and plug-in.

    Raises ConfigError or DataError that names the fault.

    If reads_inputs is False, only labels, headers of files and listings of folders are read, which is quick.
    Then nothing can be computed, and checks that need inputs are skipped.
    """
    experiment = read_experiment(path, overrides, store, demonstration)
    if is_ray_job():
        refuse_places_that_vanish(experiment)
    place = Store(experiment.store.uri)
    recall_digests(place)
    try:
        examples = load_checked(experiment, reads_inputs=reads_inputs)
        graph = graph_of(experiment, examples)
    except (ConfigError, DataError, ShapeError) as error:
        written = config.origin(path or DEMONSTRATION, overrides, error.place)
        raise type(error)(f"{written}: {error}") from error
    return Session(experiment, examples, graph, place)


def graph_of(experiment: Experiment, examples: Examples) -> Graph:
    """Return the graph of an experiment; the node of its report draws an HTML page.

    Raises ConfigError or DataError for every mistake that can be found before anything is computed.
    """
    return build_graph(experiment, examples, draw_report=draw_report)


def load_checked(experiment: Experiment, *, reads_inputs: bool = True) -> Examples:
    """Return the data of an experiment after checking settings and data together.

    For reads_inputs see open_session. Relative paths start in the working folder of this process.
    """
    located = with_absolute_paths(experiment)
    with placed("dataset"):
        examples = (
            DATASET_DIGESTS.read(located.dataset)
            if reads_inputs
            else DATASET_DIGESTS.outline(located.dataset)
        )
    check(located, examples)
    return examples


def refuse_places_that_vanish(experiment: Experiment) -> None:
    """Raise ConfigError if tables or the tracking database would be written to the folder of a Ray job.

    Ray deletes this folder after the job.
    """
    # The environment variable counts too, because `dmm submit` passes it on to the job.
    uri, view = experiment.store.uri, experiment.tracking.uri or os.environ.get("MLFLOW_TRACKING_URI", "")
    if local_folder(uri) is not None and not Path(uri.removeprefix("file://")).is_absolute():
        raise ConfigError(
            f"store {uri!r} is a relative path, but a Ray job runs in a temporary folder that is "
            "deleted afterwards; give an absolute path that all nodes mount, or an object store, "
            "with --store"
        )
    if view.startswith("sqlite:///") and not Path(view.removeprefix("sqlite:///")).is_absolute():
        raise ConfigError(
            f"tracking.uri {view!r} is a relative path, but a Ray job runs in a temporary folder "
            "that is deleted afterwards; give sqlite:////absolute/path or a server"
        )


def check(experiment: Experiment, examples: Examples) -> None:
    """Raise ConfigError or DataError if the settings and the data do not fit together.

    If the inputs are not read, checks that need them are skipped.
    """
    for role in ("subset", "designed"):
        subsets = getattr(experiment.populations, role)
        if subsets is not None:
            with placed(f"populations.{role}"):
                count_kept(examples.n_train, subsets.keep_fraction)
    check_trained(experiment, examples)
    for label, rule in experiment.forget_sets.items():
        with contextlib.suppress(InputsNotReadError), placed(f"forget_sets.{label}"):
            rule.check(examples)
    check_focused(experiment, examples)
    with placed("estimator"):
        experiment.estimator.check(examples)
    check_populations(experiment, examples)
    check_looked_into(
        experiment, Builder(model_of(experiment, "scout"), examples.input_shape, examples.n_classes), examples
    )
    check_learnt_from(experiment)
    for label, unlearner in experiment.unlearners.items():
        with placed(f"unlearners.{label}"):
            unlearner.check(examples)
            n_retain = getattr(unlearner, "retain_points", 0)
            if fits(n_retain, int) and n_retain >= examples.n_train:
                raise DataError(
                    f"retain_points is {n_retain} but there are {examples.n_train} training points; lower it"
                )


def check_looked_into(experiment: Experiment, build: Builder, examples: Examples) -> None:
    """Raise ConfigError, naming the key, if scouts lack something that the estimator or its guide needs.

    A guide is a second estimator, whose effects guide those of the first. build makes the model of scouts.
    """
    looking = {"estimator": experiment.estimator}
    guide = experiment.estimator.guided_by()
    if guide is not None and needs_effects(experiment):
        looking[f"estimator.{guide.key}"] = guide.estimator
    for key, estimator in looking.items():
        with contextlib.suppress(InputsNotReadError), placed(key):
            estimator.check_objective(recipe_of(experiment, "scout").loss())
            estimator.check_model(build, examples)


def check_learnt_from(experiment: Experiment) -> None:
    """Raise ConfigError if the smallest fit has too few models for the estimator.

    With held-out models a learning curve is computed, and its first fit uses an eighth of the models.
    """
    fewest = fewest_learnt_from(experiment)
    if fewest is None:
        return
    try:
        experiment.estimator.check_count(fewest)
    except ConfigError as error:
        raise ConfigError(
            f"estimator: {error} (the first point of the learning curve, scored on "
            "populations.heldout, uses so few models)"
        ) from error


def check_focused(experiment: Experiment, examples: Examples) -> None:
    """Raise ConfigError if focused models would keep no point outside a forget set.

    A rule such as `hardest` chooses points by the margins of trained models. Before training only the size
    of its set is known, which is enough for this check.
    """
    focused = experiment.populations.focused
    if focused is None:
        return
    for label, rule in experiment.forget_sets.items():
        named = getattr(rule, "n_points", 1)
        try:
            n_forget = (named if fits(named, int) else 1) if rule.needs else len(rule.select(examples, None))
        except InputsNotReadError:
            continue
        with placed("populations.focused"):
            try:
                count_kept_outside(examples.n_train - n_forget, focused.keep_fraction)
            except ConfigError as error:
                raise ConfigError(f"{error} (forget set {label!r})") from error


def check_trained(experiment: Experiment, examples: Examples) -> None:
    """Raise ConfigError, naming the key, unless the model of each role can be trained by its recipe.

    Each model must turn inputs into logits. Raises DataError if inputs are so large that a model overflows.
    """
    for role in ("full", *PROXIES):
        if role != "full" and (role not in roles_used(experiment) or not is_proxy(experiment, role)):
            continue
        build = Builder(model_of(experiment, role), examples.input_shape, examples.n_classes)
        place = contextlib.nullcontext() if role == "full" else placed(f"populations.{role}")
        # A command that reads no inputs still makes the other checks.
        with contextlib.suppress(InputsNotReadError), place:
            check_model(build, recipe_of(experiment, role), examples.inputs_of(np.arange(2)))
            check_scale(build, recipe_of(experiment, role), examples)


def check_populations(experiment: Experiment, examples: Examples) -> None:
    """Raise ConfigError or DataError if the populations cannot supply what later stages read.

    For example, a source lacks values, needed weights are not kept, or no judge can judge a forget set.
    """
    used = roles_used(experiment)
    check_starts(experiment)
    check_sources(experiment, examples, used)
    check_judged(experiment)
    check_fidelities(experiment, in_one_fit(experiment))
    scouts = experiment.populations.scout
    if looks(experiment) and scouts.source is None and not scouts.keep_states:
        raise ConfigError(
            "attribution reads the weights of the scouts, which are not kept; set "
            "populations.scout.keep_states=true"
        )


def why_looped(session: Session) -> str | None:
    """Return why the full models must be trained one by one instead of stacked, several at once.

    The result is None if they can be stacked, or if the recipe's `ensemble` is not `auto`: then the user has
    made the choice.
    """
    experiment, examples = session.experiment, session.examples
    build = Builder(experiment.model, examples.input_shape, examples.n_classes)
    inputs = torch.from_numpy(examples.inputs_of(np.arange(2)))
    return (
        why_not_stackable(build(), [experiment.recipe.descent()], inputs)
        if experiment.recipe.ensemble == "auto"
        else None
    )


def stream_of(task: Task) -> str | None:
    """Return the folder of a task's table, or None if the task is not streamed.

    Tasks with the same folder may share one Ray Data pipeline.
    """
    return task.folder if task.node.streams else None


def executor_opener(name: str, session: Session) -> Callable[[], Executor[Task]]:
    """Return a function that opens the executor called name; raises ConfigError if the name is unknown.

    The walk calls the function when the first task is ready. Ray is imported only then, so a run with nothing
    to compute starts without it.
    """
    if name == "serial":
        return lambda: SerialExecutor(lambda task, device: compute_task(task, session.examples, device))
    if name != "ray":
        raise ConfigError(f"unknown executor {name!r}; known: ray, serial")

    def open_ray() -> Executor[Task]:
        from pipeline.execution.ray.streaming import StreamingExecutor

        patience = session.experiment.resources.patience_seconds
        return StreamingExecutor(
            compute_task, session.examples, prepare=read_common, stream=stream_of, stall_seconds=patience
        )

    return open_ray
