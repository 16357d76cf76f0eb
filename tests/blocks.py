"""Outputs as a block, for tests that need nothing else."""

import numpy as np

from pipeline.attribution.evidence import Block


def block_of(outputs: np.ndarray) -> Block:
    """Return outputs (n_models, n_outputs) as margins of as many points."""
    return Block(points=np.arange(outputs.shape[1]), outputs=outputs, per_point=1)
