"""The effects that a guide predicts for the removal of a forget set.

A guide is a second estimator that learns from the scouts alone and needs no subset models. The effects that
the datamodel predicts are drawn towards the guide's effects.
"""

import numpy as np

from pipeline.attribution.corrections.guided import guided
from pipeline.attribution.datamodel import Effect
from pipeline.attribution.estimator import Arrays, Guide
from pipeline.attribution.evidence import Block, Evidence
from pipeline.core.arrays import Indices, PerOutput
from pipeline.graph.logits_layout import Layout
from pipeline.graph.node import Work
from pipeline.training.gradients import Checkpoints


def drawn_to_guide(
    work: Work, layout: Layout, guide: Guide, checkpoints: Checkpoints, predicted: Effect, forget: Indices
) -> Effect:
    """Return the effect on every logit (n_points × n_classes,), drawn towards that of a guide.

    The factor of the guide is the parent called `guide`.
    """
    every = np.arange(work.examples.n_points)
    evidence, factor = (
        Evidence(
            masks=np.ones((checkpoints.n_models, work.examples.n_train), dtype=bool), trained=checkpoints
        ),
        work.read("guide"),
    )
    blocks = [every[layout.points(number, len(every))] for number in range(layout.n_blocks(len(every)))]
    means = np.concatenate([guide_means(guide, factor, evidence, points, forget) for points in blocks])
    return guided(
        predicted,
        means,
        forgotten=np.isin(every, forget).repeat(work.examples.n_classes),
        curvature=guide.curvature,
    )


def guide_means(
    guide: Guide, factor: Arrays, evidence: Evidence, points: Indices, forget: Indices
) -> PerOutput:
    """Return a guide's mean effect of removing a forget set on logits of points, (n_chosen × n_classes,)."""
    checkpoints = evidence.checkpoints()
    # An effect does not depend on the outputs before the removal, so these are zero.
    start = np.zeros((checkpoints.n_models, len(points) * checkpoints.n_classes), np.float32)
    block = Block(points=points, outputs=start, per_point=checkpoints.n_classes)
    return (
        guide.estimator.datamodel(factor, guide.estimator.fit(factor, evidence, block), evidence, block)
        .effect_of_removing(forget)
        .mean
    )
