"""Public functions accept plain arrays of the right kind and refuse others with our own message."""

import numpy as np
import pytest
import torch

from pipeline.attribution.datamodel import WeightMatrix, as_indices
from pipeline.attribution.evidence import Block, Evidence
from pipeline.attribution.lds import explained, lds
from pipeline.attribution.ridge import Ridge
from pipeline.core.arrays import require_array
from pipeline.core.errors import ConfigError, DataError, ShapeError
from pipeline.evaluation.accuracy import accuracy
from pipeline.evaluation.bootstrap import klom_interval
from pipeline.evaluation.klom import klom
from pipeline.evaluation.margins import margins
from pipeline.evaluation.ulira import ulira

pytestmark = pytest.mark.usefixtures("unannotated")

RNG = np.random.default_rng(0)
VALUES = RNG.normal(size=(12, 6))
MASKS = RNG.random((12, 8)) < 0.5
LABELS = np.array([0, 1, 2, 0, 1, 2])
ODD = {
    "list": VALUES.tolist(),
    "tensor": torch.from_numpy(VALUES),
    "objects": VALUES.astype(object),
    "strings": VALUES.astype(str),
    "bools": VALUES > 0,
    "complex": VALUES.astype(complex),
    "masked": np.ma.masked_array(VALUES, VALUES > 0),
    "matrix": np.asmatrix(VALUES) if hasattr(np, "asmatrix") else None,
    "dates": VALUES.astype("datetime64[s]"),
    "records": np.zeros(12, [("m", float)]),
    "none": None,
    "number": 1.5,
    "one dimension": VALUES[0],
    "three dimensions": VALUES[None, None, None],
}
RULE = {"everything": np.arange(6)}
DOORS = {
    "lds": lambda odd: lds(predicted=odd, actual=VALUES),
    "lds actual": lambda odd: lds(predicted=VALUES, actual=odd),
    "explained": lambda odd: explained(odd, VALUES),
    "klom": lambda odd: klom(unlearned=odd, oracle=VALUES),
    "klom oracle": lambda odd: klom(unlearned=VALUES, oracle=odd),
    "interval": lambda odd: klom_interval(unlearned=odd, oracle=VALUES, groups=RULE),
    "ulira": lambda odd: ulira(unlearned=odd, unseen=VALUES),
    "margins": lambda odd: margins(odd, LABELS[:5]),
    "labels": lambda odd: margins(VALUES[:, :3][None].repeat(2, 0)[:, :6], odd),
    "accuracy": lambda odd: accuracy(odd, LABELS[:5]),
    "masks": lambda odd: Evidence(masks=odd),
    "outputs": lambda odd: Block(points=np.arange(5), outputs=odd, per_point=1),
    "weights": lambda odd: WeightMatrix(matrix=odd, everything=np.zeros(5)),
    "predict": lambda odd: WeightMatrix(matrix=np.ones((8, 2)), everything=np.zeros(2)).predict(odd),
    "removing": lambda odd: WeightMatrix(matrix=np.ones((8, 2)), everything=np.zeros(2)).effect_of_removing(
        odd
    ),
}


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("door", DOORS)
def test_whatever_is_no_plain_array_of_the_right_kind_is_refused_at_every_door(door, kind):
    if door == "masks" and kind == "bools":
        assert DOORS[door](ODD[kind]).n_train == 6
        return
    with pytest.raises((DataError, ShapeError)):
        DOORS[door](ODD[kind])


@pytest.mark.parametrize(
    "masks", [np.where(MASKS, 1, -1), MASKS.astype(int), MASKS.astype(float), np.tile(np.arange(8), (12, 1))]
)
def test_masks_are_booleans_and_nothing_that_could_mean_them(masks):
    with pytest.raises(
        DataError, match=r"masks: expected a NumPy array of booleans, got .*; write masks == 1"
    ):
        Evidence(masks=masks)
    datamodel = WeightMatrix(matrix=np.ones((8, 2)), everything=np.zeros(2))
    with pytest.raises(DataError, match="masks == 1"):
        datamodel.predict(masks)


def test_the_remedy_fits_what_was_given():
    for given, words in (
        (VALUES.tolist(), "got list; convert it with numpy.asarray"),
        (ODD["masked"], "got MaskedArray; decide about masked values"),
    ):
        with pytest.raises(DataError, match=words):
            require_array("margins", given, kinds="f")
    with pytest.raises(DataError, match=r"got int64 of shape \(12, 6\); convert it with astype\(float\)"):
        require_array("margins", VALUES.astype(int), kinds="f")


@pytest.mark.parametrize("label", [0.5, np.nan, np.inf, 1.0, -1, 3, True, "1"])
def test_labels_that_are_no_classes_have_no_margin(label):
    with pytest.raises(DataError, match="labels"):
        margins(VALUES[:1, :3][None], np.array([label]))


@pytest.mark.parametrize("size", [1e101, 1e200, 1e308])
def test_outputs_that_cannot_be_squared_are_refused(size):
    outputs = np.sign(VALUES) * size
    with pytest.raises(DataError, match="datamodels square them"):
        Ridge().fit({}, Evidence(masks=MASKS), Block(points=np.arange(6), outputs=outputs, per_point=1))


NO_IDS = [True, False], [0.0, 1.0], ["1"], [[0, 1]], [[0], [1, 2]], [], [0, 0], [8], [-1], None, 3, {1, 2}


@pytest.mark.parametrize("ids", [*NO_IDS, np.ma.masked_array([1, 2], [0, 1])])
def test_ids_that_are_no_set_of_training_points_are_refused(ids):
    with pytest.raises(DataError, match="indices must be distinct training ids in 0 to 7"):
        as_indices(ids, 8)


@pytest.mark.parametrize(
    "settings",
    [{"n_resamples": 200.0}, {"n_resamples": 10**12}, {"level": 95}, {"level": "0.9"}, {"level": np.nan}],
)
def test_settings_of_an_interval_are_checked(settings):
    for compute in (
        lambda: lds(predicted=VALUES, actual=VALUES, **settings),
        lambda: klom_interval(unlearned=VALUES, oracle=VALUES, groups=RULE, **settings),
        lambda: ulira(unlearned=VALUES, unseen=VALUES, **settings),
    ):
        with pytest.raises(ConfigError, match=next(iter(settings))):
            compute()
