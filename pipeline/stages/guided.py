"""A guide's steps as evidence: what removing a forget set does to every output by the scouts alone, from what its factor holds of them."""

import numpy as np

from pipeline.attribution.datamodel import Effect
from pipeline.attribution.estimator import Guide
from pipeline.attribution.evidence import Block, Evidence
from pipeline.attribution.guided import guided
from pipeline.core.arrays import Indices
from pipeline.stages.layout import Layout
from pipeline.stages.node import Work
from pipeline.training.gradients import Checkpoints


def drawn_to_guide(work: Work, layout: Layout, guide: Guide, checkpoints: Checkpoints, predicted: Effect, forget: Indices) -> Effect:
    """Return the effect on every logit (n_points × n_classes,), drawn towards that of a guide whose factor is the parent called `guide`."""
    examples, factor, parts = work.examples, work.read("guide"), []
    evidence = Evidence(masks=np.ones((checkpoints.n_models, examples.n_train), dtype=bool), trained=checkpoints)
    for number in range(layout.n_blocks(examples.n_points)):
        points = np.arange(examples.n_points)[layout.points(number, examples.n_points)]
        # What outputs start from does not move an effect.
        start = np.zeros((checkpoints.n_models, len(points) * examples.n_classes), np.float32)
        block = Block(points=points, outputs=start, per_point=examples.n_classes)
        fit = guide.estimator.fit(factor, evidence, block)
        parts.append(guide.estimator.datamodel(factor, fit, evidence, block).effect_of_removing(forget).mean)
    forgotten = np.isin(np.arange(examples.n_points), forget).repeat(examples.n_classes)
    return guided(predicted, np.concatenate(parts), forgotten=forgotten, curvature=guide.curvature)
