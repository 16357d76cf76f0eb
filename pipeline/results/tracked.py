"""What MLflow shows of an experiment, as plain values: a run's description, its progress and its results."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

Numbers: TypeAlias = Mapping[str, float | int | np.number[Any]]
# Where the name of a child run is expected, this name stands for the parent run. The parent run shows the
# results of the whole experiment.
PARENT = ""
# A note has at most this many characters. MLflow keeps a note as a tag, and older versions accept no longer
# tag.
MOST_IN_NOTE = 5000


@dataclass(frozen=True, kw_only=True)
class DatasetSummary:
    """The data set of a run.

    Only dtype and shape of inputs (n_points, ...) and labels (n_points,) are shown; no value is read.
    """

    name: str
    digest: str
    n_train: int
    n_validation: int
    n_classes: int
    inputs: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True, kw_only=True)
class RunDescription:
    """What is known of a parent run before it begins.

    config_digest identifies the experiment; a resumed run finds its MLflow run by it. params holds the
    config as nested settings, without settings that may change when the run is resumed. params, config_yaml
    and dataset are logged only for a new run, and tags every time. titles maps the names of child runs to
    their titles; a child without an entry has its name as title.
    """

    config_digest: str
    name: str
    params: Mapping[str, Any]
    config_yaml: str
    dataset: DatasetSummary
    tags: Mapping[str, str]
    titles: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Results:
    """Everything that one run in MLflow shows when it is done.

    version identifies the content: results are logged again when their version changes. note is Markdown at
    the top of the run's page. metrics have one value. curves are metrics with values at several steps,
    {step: value}. tables, figures and files become artifacts; their names may contain slashes, which make
    folders. A table is a list of rows, saved for the UI and as CSV. figures hold PNG. files hold bytes or the
    path of a local file, and are saved under exactly the given name.
    """

    version: str
    note: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    metrics: Numbers = field(default_factory=dict)
    curves: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    tables: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    figures: Mapping[str, bytes] = field(default_factory=dict)
    files: Mapping[str, bytes | Path] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Point:
    """The values of several metrics at one step; moment is their time in seconds since the epoch."""

    step: int
    moment: float
    metrics: Numbers
