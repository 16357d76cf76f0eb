"""Content of a run in MLflow as plain values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

Numbers: TypeAlias = Mapping[str, float | int | np.number[Any]]
# The child name of the parent run itself, which shows the results of the whole experiment.
PARENT = ""
# MLflow cuts a note after this many characters.
MOST_IN_NOTE = 5000


@dataclass(frozen=True, kw_only=True)
class DatasetSummary:
    """The data set of a run.

    Only dtype and shape of inputs (n_points, ...) and labels (n_points,) are read.
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
    """What is known of a run before it begins.

    config_digest finds the run again. params is the whole nested config. params, config_yaml and dataset are
    logged only for a new run, tags every time. titles maps names of children to their titles, if these
    differ.
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
    """Everything that one child run shows when it is done.

    Names are paths below the run's artifacts and may contain slashes. version identifies the content: a child
    is logged again when its version changes. note is Markdown at the top of the page. curves are metrics with
    values at several steps, {step: value}. tables hold rows, which the UI shows and which are kept as CSV.
    figures hold PNG. files hold bytes or the path of a local file, and keep their own names.
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
    """One point of several curves: their values at a step, and its moment in seconds since the epoch."""

    step: int
    moment: float
    metrics: Numbers
