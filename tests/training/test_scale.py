"""Inputs of an odd scale get a notice before compute; inputs that overflow in training are refused."""

import dataclasses

import numpy as np
import pytest

from pipeline.core.errors import DataError
from pipeline.data.datasets.digits import Digits
from pipeline.data.datasets.planted import Planted
from pipeline.models.logistic import Logistic
from pipeline.models.mlp import Mlp
from pipeline.training.ensemble import Builder
from pipeline.training.input_scale import check_scale, scale_notice
from pipeline.training.recipe.recipe import Recipe

PLANTED = Planted(n_train=40, n_validation=10).load()


def scaled(factor: float):
    return dataclasses.replace(
        PLANTED, inputs=(np.asarray(PLANTED.inputs) * np.float32(factor)).astype(np.float32)
    )


@pytest.mark.parametrize(
    "examples",
    [PLANTED, scaled(0.05), scaled(5), Digits().load()],
    ids=["planted", "small", "large", "digits"],
)
def test_inputs_of_a_usual_scale_get_no_notice(examples) -> None:
    assert scale_notice(examples) is None


@pytest.mark.parametrize(("factor", "size"), [(255, "296"), (1e18, "1.16e+18"), (1e-6, "1.16e-06"), (0, "0")])
def test_inputs_of_another_scale_get_a_notice_with_the_remedy(factor, size) -> None:
    notice = scale_notice(scaled(factor))
    assert notice is not None
    assert f"of the size {size} (root mean square)" in notice
    assert "scale them, such as pixels / 255" in notice


@pytest.mark.parametrize("factor", [1e9, 1e18, 1e30])
def test_inputs_that_overflow_within_a_few_steps_are_refused(factor) -> None:
    examples = scaled(factor)
    with pytest.raises(DataError, match="outputs that are not finite"):
        check_scale(Builder(Mlp(width=8), examples.input_shape, 3), Recipe(), examples)


@pytest.mark.parametrize("factor", [1, 255])
def test_inputs_that_can_be_trained_on_are_not_refused(factor) -> None:
    examples = scaled(factor)
    check_scale(Builder(Logistic(), examples.input_shape, 3), Recipe(), examples)
