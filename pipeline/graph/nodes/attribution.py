"""The base of the nodes of attribution.

It reads the tables of the graph that an estimator learns from: masks, seeds and outputs of models, and more.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Int
from typing_extensions import override

from pipeline.attribution.estimator import OUTPUTS, Arrays, Estimator
from pipeline.attribution.evidence import Block, Evidence, without_seed_effects
from pipeline.core.arrays import Logits, Margins, Masks
from pipeline.core.registry import Plugin, identity
from pipeline.data.masks import unpack
from pipeline.graph.child_run import ATTRIBUTION, ChildRun
from pipeline.graph.logits_layout import Layout, block_margins, column
from pipeline.graph.node import Node, Parent, Work
from pipeline.graph.nodes.views import read_views
from pipeline.graph.reading.group_lines import read_lines
from pipeline.graph.reading.stored_states import read_weights
from pipeline.models.base import Model
from pipeline.sources.base import ModelSource
from pipeline.training.ensemble import Builder
from pipeline.training.gradients import Checkpoints
from pipeline.training.recipe.objectives import LabelObjective, cross_entropy


@dataclass(frozen=True, kw_only=True, eq=False)
class Basis:
    """The inputs of a fit that all blocks of outputs share.

    factor holds the estimator's results that do not depend on outputs. evidence holds the masks of the models
    and further inputs. seeds and populations give the seed and the number of the population of each model.
    """

    factor: Arrays
    evidence: Evidence
    seeds: Int[np.ndarray, " n_models"]
    populations: Int[np.ndarray, " n_models"]


@dataclass(frozen=True, kw_only=True)
class Attribution(Node):
    """The base of the nodes of attribution.

    It holds the estimator, the layout, and the keys of the tables that the estimator learns from: subset
    models, scouts, and groups and views of points. outputs names the kinds of outputs that datamodels are
    fitted to. Without `margins`, the margins of held-out models are computed from their predicted logits.
    Without `logits`, margins can be scored, but there are no effects to unlearn by.
    """

    entry: ClassVar[str] = "fit"
    resources_key: ClassVar[str] = "fit"

    estimator: Estimator
    model: Model
    layout: Layout
    subset_keys: Mapping[str, str]
    groups_key: str | None = None
    views_key: str | None = None
    scout_key: str | None = None
    scout_source: ModelSource | None = None
    heldout_key: str | None = None
    outputs: frozenset[str] = OUTPUTS
    # The objective of the scouts' training. For scouts trained here it is in the identity already, because
    # their table is a parent.
    objective: LabelObjective = cross_entropy

    @property
    @override
    def child(self) -> ChildRun | None:
        return ATTRIBUTION

    @override
    def settings(self) -> dict[str, Any]:
        part = {} if self.outputs == OUTPUTS else {"outputs": sorted(self.outputs)}
        architecture = {"model": identity(self.model)} if self.scout_key else {}
        return (
            {"estimator": identity(self.estimator), "layout": identity(self.layout)}
            | part
            | architecture
            | self._followed()
        )

    def _followed(self) -> dict[str, Any]:
        """Return the objective of the scouts' training as a setting.

        This is needed only if the scouts come from a source: the identity of scouts trained here contains it
        already. Cross-entropy, the default, is left out.
        """
        if not self.scout_key or self.scout_source is None or self.objective == cross_entropy:
            return {}
        return {"objective": [type(self.objective).__name__, dict(vars(self.objective))]}

    @override
    def plugins(self) -> tuple[Plugin, ...]:
        return (*((self.model,) if self.scout_key else ()), *self.estimator.parts(), self.estimator)

    @override
    def parents(self) -> dict[str, Parent]:
        beside = {
            "groups": self.groups_key,
            "views": self.views_key,
            "heldout": self.heldout_key,
            "scout": self.scout_key,
        }
        return {name: Parent(key) for name, key in {**self.subset_keys, **beside}.items() if key is not None}

    def evidence(self, work: Work) -> Evidence:
        """Return what the estimator learns from, apart from outputs."""
        return Evidence(
            masks=np.concatenate([masks_of(work, name) for name in self.subset_keys]),
            heldout=masks_of(work, "heldout") if self.heldout_key else None,
            lines=read_lines(work) if self.groups_key else None,
            views=read_views(work) if self.views_key else None,
            trained=self.checkpoints(work) if self.scout_key else None,
        )

    def checkpoints(self, work: Work) -> Checkpoints:
        """Return the scouts; their states are read on first use."""
        table, examples = work.inputs["scout"], work.examples
        build = Builder(self.model, examples.input_shape, examples.n_classes)
        source = self.scout_source
        return Checkpoints(
            build,
            lambda: read_weights(
                work.store, table, 0, table.pieces[-1].stop, source=source, template=build()
            ),
            examples,
            work.device,
            objective=self.objective,
        )

    def basis(self, work: Work, factor: Arrays) -> Basis:
        """Return the inputs that the fits of all blocks share, with all models."""
        seeds = [work.read(name, ["seed"])["seed"] for name in self.subset_keys]
        populations = np.repeat(np.arange(len(seeds)), [len(part) for part in seeds])
        return Basis(
            factor=factor, evidence=self.evidence(work), seeds=np.concatenate(seeds), populations=populations
        )

    def logits(self, work: Work, block: int) -> Logits:
        """Return the logits of a block, (n_models, n_block_points, n_classes)."""
        return np.concatenate([work.read(name, [column(block)])[column(block)] for name in self.subset_keys])

    def margins(self, work: Work, number: int) -> Margins:
        """Return the margins of a block, (n_models, n_block_points)."""
        labels = work.examples.labels
        return np.concatenate(
            [
                block_margins(work.store, work.inputs[name], self.layout, number, labels)
                for name in self.subset_keys
            ]
        )

    def block(self, work: Work, number: int, values: Logits | Margins, basis: Basis) -> Block:
        """Return a block of logits or margins as the outputs to learn, in float32.

        values are the outputs of the models of basis. The part that all models of one seed share is removed,
        because it does not come from the points that they were trained on.
        """
        outputs = values.reshape(len(values), -1).astype(np.float32, copy=False)
        outputs = without_seed_effects(outputs, basis.seeds, basis.populations)
        points = np.arange(work.examples.n_points)[self.layout.points(number, work.examples.n_points)]
        return Block(points=points, outputs=outputs, per_point=outputs.shape[1] // len(points))


def masks_of(work: Work, name: str) -> Masks:
    """Return the masks (n_models, n_train) of a population."""
    return unpack(work.read(name, ["mask"])["mask"], work.examples.n_train)
