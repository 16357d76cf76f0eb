"""Subset models of digits for lds_digits.py, with all that estimators learn from and are judged by."""

import time
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from pipeline.config.populations import Populations
from pipeline.core.arrays import HeldoutMasks, HeldoutOutputs, Indices, Logits, Margins, Masks
from pipeline.core.seeds import seed
from pipeline.data.datasets.digits import Digits
from pipeline.data.examples import Examples
from pipeline.data.nested_groups import Lines, draw_lines
from pipeline.data.scout_views import Views, draw_views
from pipeline.evaluation.margins import margins
from pipeline.models.mlp import Mlp
from pipeline.training.ensemble import Builder, States, compute_logits
from pipeline.training.features import difficulty, joint_features, last_features
from pipeline.training.feeds import Resident
from pipeline.training.populations import member_masks, train_members
from pipeline.training.recipe.recipe import Recipe

N_TRAIN, N_TEST, N_REPLICAS, N_SCOUTS = 1000, 200, 4, 10


@dataclass(frozen=True)
class Trainer:
    """Trains the models of one seed."""

    number: int
    examples: Examples
    build: Builder = field(init=False)
    data: Resident = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "build", Builder(Mlp(width=32), self.examples.input_shape, self.examples.n_classes)
        )
        object.__setattr__(self, "data", Resident.place(self.examples))

    def masks(self, role: str, n_models: int, keep_fraction: float | None = 0.5) -> Masks:
        """Return the masks of a role's models."""
        purpose = f"lds_digits {self.number} {role}"
        return member_masks(
            purpose, range(n_models), n_train=N_TRAIN, keep_fraction=keep_fraction, forget=None
        )

    def train(
        self, role: str, masks: Masks, n_seeds: int | None = None
    ) -> tuple[States, Int[np.ndarray, " n_models"]]:
        """Return the states of models and their seeds; n_seeds is how many seeds they share."""
        seeds = [
            seed("lds_digits", self.number, role, member % n_seeds if n_seeds else member)
            for member in range(len(masks))
        ]
        return train_members(
            self.build, Recipe(), self.data, masks=masks, seeds=seeds, kind="stacked"
        ), np.array(seeds)

    def logits(self, states: States) -> Logits:
        """Return logits on the training and test points."""
        return compute_logits(self.build(), states, self.data.inputs, kind="stacked")


@dataclass(frozen=True, kw_only=True)
class Problem:
    """The data of one seed that estimators learn from and are judged by.

    margins are of the targets, logits of all points. replicas are margins of other models of the held-out
    masks. scout_seconds is the time to train the scouts and to look at the data through them.
    """

    masks: Masks
    heldout: HeldoutMasks
    seeds: Int[np.ndarray, " n_models"]
    logits: Logits
    margins: Margins
    actual: HeldoutOutputs
    replicas: Float[np.ndarray, "n_replicas n_heldout n_targets"]
    lines: Lines
    views: Views
    scout_seconds: float
    targets: Indices


def make_problem(number: int, n_models: int, n_heldout: int, step: int) -> Problem:
    """Train everything of one seed; every step-th test point is a target."""
    digits = Digits(n_train=N_TRAIN, seed=number).load()
    examples = Examples(
        inputs=digits.inputs[: N_TRAIN + N_TEST],
        labels=digits.labels[: N_TRAIN + N_TEST],
        n_train=N_TRAIN,
        n_classes=10,
    )
    trainer, targets = Trainer(number, examples), np.arange(N_TRAIN, N_TRAIN + N_TEST, step)
    masks, heldout = trainer.masks("subset", n_models), trainer.masks("heldout", n_heldout)
    states, seeds = trainer.train("subset", masks, Populations().n_seeds)
    logits = trainer.logits(states)
    others = [
        trainer.logits(trainer.train(f"heldout {replica}", heldout)[0]) for replica in range(N_REPLICAS + 1)
    ]
    actual, *replicas = [margins(found, examples.labels)[:, targets] for found in others]
    begun = time.perf_counter()
    lines, views = looks(trainer)
    return Problem(
        masks=masks,
        heldout=heldout,
        seeds=seeds,
        logits=logits,
        margins=margins(logits, examples.labels)[:, targets],
        actual=actual,
        replicas=np.stack(replicas),
        lines=lines,
        views=views,
        scout_seconds=time.perf_counter() - begun,
        targets=targets,
    )


def looks(trainer: Trainer) -> tuple[Lines, Views]:
    """Train the scouts and return the lines and views that they give."""
    states, _ = trainer.train("scout", trainer.masks("scout", N_SCOUTS, None))
    features, logits = last_features(trainer.build(), states, trainer.data.inputs)
    labels, joint = trainer.examples.labels, joint_features(features)
    hard = difficulty(features, logits, labels)
    return draw_lines(joint[:N_TRAIN], labels[:N_TRAIN], hard[:N_TRAIN]), draw_views(joint, labels, hard)
