"""Models that take no training, or that only sleep, so only the overhead of a shard is left.

Their folders are those of the real models.
"""

import dataclasses
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from jobs.session import Session, graph_of
from pipeline import config
from pipeline.graph.node import Work
from pipeline.graph.nodes.train import Population
from pipeline.store.store import Shard, Store

KEY = "train/subset"
TREE: dict[str, Any] = {
    "name": "scale",
    "dataset": {"name": "planted", "n_train": 20, "n_validation": 4},
    "model": "logistic",
    "recipe": {"epochs": 1, "batch_size": 10, "ensemble": "stacked"},
    "populations": {
        "subset": {"n_models": 20},
        "designed": None,
        "heldout": None,
        "full": {"n_models": 2},
        "oracle": {"n_models": 2},
        "floor": {"n_models": 2},
    },
    "estimator": "ridge",
    "forget_sets": {"some": {"name": "random", "n_points": 2}},
    "unlearners": {"dm_direct": "dm_direct"},
    "store": {"shard_members": 1},
    "tracking": {"uri": "none"},
}


@dataclass(frozen=True, kw_only=True)
class Trivial(Population):
    """Subset models whose logits are all zero, after `seconds` of sleep."""

    seconds: float = 0.0

    def compute(self, work: Work) -> Shard:
        time.sleep(self.seconds)
        n_models, n_points = work.stop - work.start, work.examples.n_points
        accuracy = np.zeros(n_models)
        columns = {
            "member": np.arange(work.start, work.stop),
            **self.layout.columns(np.zeros((n_models, n_points, work.examples.n_classes), np.float32)),
        }
        return Shard(columns=columns | {"accuracy_train": accuracy, "accuracy_validation": accuracy})


def session_of(store: str, n_shards: int, *, seconds: float = 0.0) -> Session:
    """Return an experiment of n_shards subset models, one a shard.

    A shard sleeps for `seconds` and trains nothing.
    """
    experiment = config.build(TREE, [f"populations.subset.n_models={n_shards}", f"store.uri={store}"])
    examples = experiment.dataset.load()
    graph = graph_of(experiment, examples)
    settings = {field.name: getattr(graph.nodes[KEY], field.name) for field in dataclasses.fields(Population)}
    nodes = {**graph.nodes, KEY: Trivial(**settings, seconds=seconds)}
    return Session(experiment, examples, dataclasses.replace(graph, nodes=nodes), Store(store))
