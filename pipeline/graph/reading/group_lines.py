"""How the lines of groups are stored in a table.

A line is a ranked list of training points; every prefix of a line is a group. Each line has one row. Row i
also holds the difficulty of training point i; rows from n_train on hold 0 there.
"""

import numpy as np

from pipeline.data.nested_groups import Lines
from pipeline.graph.node import Work


def columns_of(lines: Lines) -> dict[str, np.ndarray]:
    """Return the columns that hold lines."""
    behind = np.zeros(len(lines.ids) - len(lines.difficulty))
    return {
        "ids": lines.ids.astype(np.int32),
        "kind": lines.kinds,
        "difficulty": np.concatenate([lines.difficulty, behind]),
    }


def read_lines(work: Work, name: str = "groups") -> Lines:
    """Return the lines in the parent called name."""
    table = work.read(name)
    return Lines(
        ids=table["ids"].astype(np.int64),
        kinds=table["kind"],
        difficulty=table["difficulty"][: work.examples.n_train],
    )
