"""The combination predicts with both of its parts and takes effects from the kernel.

It becomes stale if either part does.
"""

import numpy as np
import pytest
from blocks import block_of
from planted_groups import N_TRAIN, lines_of, masks_of, views_of

from pipeline.attribution import ESTIMATORS
from pipeline.attribution.evidence import Evidence
from pipeline.attribution.linear.combined import Combined
from pipeline.attribution.linear.local import LocalRidge
from pipeline.core.registry import describe

LINES = lines_of()
MASKS, UNSEEN = masks_of(LINES, 60), masks_of(LINES, 20, seed=1)


def fitted(estimator):
    rng = np.random.default_rng(0)
    block = block_of(MASKS @ rng.normal(size=(N_TRAIN, 4)) + rng.normal(size=(60, 4)))
    evidence = Evidence(masks=MASKS, lines=LINES, views=views_of())
    factor = estimator.factor(evidence)
    return estimator.datamodel(factor, estimator.fit(factor, evidence, block), evidence, block)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_predictions_are_of_both_and_effects_of_the_kernel(share):
    combined = Combined(share=share)
    both, kernel, local = fitted(combined), fitted(combined.kernel), fitted(combined.local)
    assert both.predict(UNSEEN) == pytest.approx(
        (1 - share) * kernel.predict(UNSEEN) + share * local.predict(UNSEEN)
    )
    assert both.weights() == pytest.approx((1 - share) * kernel.weights() + share * local.weights())
    for one, other in zip(
        vars(both.effect_of_removing(np.arange(5))).values(),
        vars(kernel.effect_of_removing(np.arange(5))).values(),
        strict=True,
    ):
        assert np.array_equal(one, other)


def test_settings_of_the_parts_are_settings():
    combined = ESTIMATORS.build({"name": "combined", "local": {"reach": 50}, "share": 0.4})
    assert combined.local == LocalRidge(reach=50)
    assert ESTIMATORS.build(describe(combined)) == combined
    assert combined.parts() == (combined.kernel, combined.local)


def test_no_share_beyond_all_is_taken():
    with pytest.raises(ValueError, match="share"):
        Combined(share=1.1)
