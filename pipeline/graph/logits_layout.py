"""How logits are stored in a table.

Points are divided into blocks, and each block has a column. A reader of some points skips the other blocks.
"""

from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
from jaxtyping import Float

from pipeline.core.arrays import Indices, Labels, Logits, Margins
from pipeline.core.errors import ConfigError
from pipeline.core.registry import Settings
from pipeline.core.settings.neutral import setting
from pipeline.evaluation.margins import margins
from pipeline.store.store import Store, TableRef


class Layout(Settings):
    """The dtype of stored logits, and the number of points in a block."""

    dtype: Literal["float16", "float32"] = setting(neutral="float32")
    block_points: int = setting(neutral=256, ge=1, le=10_000_000)

    def n_blocks(self, n_points: int) -> int:
        """Return how many blocks n_points take."""
        return -(-n_points // self.block_points)

    def points(self, block: int, n_points: int) -> slice:
        """Return the ids of the points in a block, as a slice."""
        return slice(block * self.block_points, min((block + 1) * self.block_points, n_points))

    def columns(self, logits: Logits) -> dict[str, np.ndarray]:
        """Return the columns that hold logits (n_models, n_points, n_classes).

        Raises ConfigError if dtype cannot hold a logit.
        """
        n_points = logits.shape[1]
        return {
            column(block): self._narrowed(logits, block, "logit") for block in range(self.n_blocks(n_points))
        }

    def margin_columns(self, values: Margins) -> dict[str, np.ndarray]:
        """Return the columns that hold margins (n_models, n_points), for models that have no logits."""
        n_points = values.shape[1]
        return {
            margin_column(block): self._narrowed(values, block, "margin")
            for block in range(self.n_blocks(n_points))
        }

    def _narrowed(self, values: np.ndarray, block: int, what: str) -> np.ndarray:
        """Return the values of a block of points in dtype.

        Raises ConfigError if dtype cannot hold a finite value.
        """
        wide = values[:, self.points(block, values.shape[1])]
        with np.errstate(over="ignore"):
            narrow = wide.astype(self.dtype)
        lost = np.isinf(narrow) & np.isfinite(wide)
        if lost.any():
            largest, most = np.abs(wide[lost]).max(), np.finfo(self.dtype).max
            raise ConfigError(
                f"a {what} is {largest:,.6g}, but the largest value of {self.dtype} is {most:,.0f}; set "
                "store.layout.dtype=float32"
            )
        return narrow


def column(block: int) -> str:
    """Return the name of a block's column."""
    return f"logits_{block:05d}"


def margin_column(block: int) -> str:
    """Return the name of a block's column of margins."""
    return f"margins_{block:05d}"


def block_margins(
    store: Store, table: TableRef, layout: Layout, block: int, labels: Labels
) -> Float[np.ndarray, "n_models n_block_points"]:
    """Return the margins (n_models, n_block_points) of a block, stored or computed from its logits."""
    name = margin_column(block)
    if name in store.columns(table):
        return store.read(table, [name])[name].astype(np.float32)
    return margins(
        store.read(table, [column(block)])[column(block)], labels[layout.points(block, len(labels))]
    )


def read_blocks(
    store: Store, table: TableRef, layout: Layout, n_points: int
) -> Iterator[tuple[slice, Logits]]:
    """Yield the points of each block and their logits, one block in memory at a time.

    The logits are (n_models, n_block_points, n_classes).
    """
    for block in range(layout.n_blocks(n_points)):
        yield layout.points(block, n_points), store.read(table, [column(block)])[column(block)]


def read_logits(store: Store, table: TableRef, layout: Layout, n_points: int) -> Logits:
    """Return all logits (n_models, n_points, n_classes) of a table as float32."""
    return np.concatenate(
        [block.astype(np.float32) for _, block in read_blocks(store, table, layout, n_points)], axis=1
    )


def read_stored_margins(store: Store, table: TableRef, layout: Layout, labels: Labels) -> Margins:
    """Return the margins (n_models, n_points) of a table, computed block by block."""
    return np.concatenate(
        [block_margins(store, table, layout, block, labels) for block in range(layout.n_blocks(len(labels)))],
        axis=1,
    )


def read_point_margins(
    store: Store, table: TableRef, layout: Layout, labels: Labels, points: Indices
) -> Float[np.ndarray, "n_models n_chosen"]:
    """Return the margins (n_models, n_chosen) of some points.

    Blocks without any of these points are not read.
    """
    if margin_column(0) in store.columns(table):
        return _read_points(store, table, layout, points, margin_column).astype(np.float32)
    return margins(read_point_logits(store, table, layout, points), labels[points])


def read_point_logits(
    store: Store, table: TableRef, layout: Layout, points: Indices
) -> Float[np.ndarray, "n_models n_chosen n_classes"]:
    """Return the logits (n_models, n_chosen, n_classes) of some points.

    Blocks without any of these points are not read.
    """
    return _read_points(store, table, layout, points, column)


def _read_points(
    store: Store, table: TableRef, layout: Layout, points: Indices, column: Callable[[int], str]
) -> Float[np.ndarray, "n_models n_chosen *n_classes"]:
    parts: dict[int, np.ndarray] = {}
    for block in np.unique(points // layout.block_points).tolist():
        inside = points[points // layout.block_points == block]
        logits = store.read(table, [column(block)])[column(block)][:, inside - block * layout.block_points]
        parts |= dict(zip(inside.tolist(), logits.swapaxes(0, 1), strict=True))
    return np.stack([parts[point] for point in points.tolist()], axis=1)
