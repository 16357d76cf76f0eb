"""Users' plug-ins with one mistake each; the config names them `mistakes:Class`."""

import sys
import threading
from typing import ClassVar

import numpy as np
import torch
from pydantic import PrivateAttr, field_validator
from torch import nn

from pipeline.attribution.datamodel import Effect, WeightMatrix
from pipeline.attribution.estimator import Estimator
from pipeline.attribution.ridge import Ridge
from pipeline.core.errors import DataError
from pipeline.data.dataset import Dataset
from pipeline.data.examples import Examples
from pipeline.data.forget_sets.base import ForgetSet
from pipeline.data.forget_sets.coherent import Coherent
from pipeline.models.base import Model
from pipeline.sources.base import ModelSource
from pipeline.training.recipe.schedule import Descent, Phase, cross_entropy
from pipeline.unlearning.matching import Matching
from pipeline.unlearning.unlearner import ScheduledUnlearner, Unlearned, Unlearner, same_for_all


class StrangeError(Exception):
    """An error of the user's own, whose message cannot be had."""

    def __str__(self):
        raise RuntimeError("no message")


def raised(error):
    """Return a method that raises error, at a line of this file."""

    def method(self, *given):
        raise error

    return method


def returned(value):
    """Return a method that returns value."""
    return lambda self, *given: value


def subclass(base, name, **members):
    """Put a subclass of base with these members into this module."""
    members = {"__module__": __name__, **members}
    globals()[name] = type(base)(name, (base,), members)
    return name


def linear(n_inputs, n_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(n_inputs, n_classes))


def model(name, change=lambda module: module):
    return subclass(
        Model, name, build=lambda self, shape, n_classes: change(linear(int(np.prod(shape)), n_classes))
    )


class Odd(nn.Module):
    """A linear layer whose outputs a function spoils."""

    def __init__(self, inner, spoil):
        super().__init__()
        self.inner, self.spoil = inner, spoil

    def forward(self, x):
        return self.spoil(self, self.inner(x), x)


def forward(name, spoil):
    return model(name, lambda module: Odd(module, spoil))


def frozen(module):
    return module.requires_grad_(False)


def nan(module):
    nn.init.constant_(module[1].weight, float("nan"))
    return module


def raise_in_training(module, logits, x):
    if module.training:
        raise KeyError("only in training")
    return logits


SHARED = nn.Linear(1, 1)
MODELS = {
    subclass(
        Model, "BuildRaises", build=raised(ValueError("unknown architecture rn-18"))
    ): "build() raised ValueError: unknown architecture rn-18",
    subclass(Model, "BuildStrange", build=raised(StrangeError())): "build() raised mistakes.StrangeError",
    subclass(
        Model, "BuildExits", build=lambda self, *given: sys.exit("bye")
    ): "build() raised SystemExit: bye",
    subclass(Model, "BuildAsserts", build=raised(AssertionError())): "build() raised AssertionError",
    subclass(Model, "BuildStops", build=raised(StopIteration())): "build() raised StopIteration",
    subclass(Model, "BuildNotYet", build=raised(NotImplementedError())): "build() raised NotImplementedError",
    subclass(Model, "BuildNone", build=returned(None)): "build() returned None",
    subclass(Model, "BuildFunction", build=returned(len)): "build() returned builtin_function_or_method",
    subclass(Model, "BuildClass", build=returned(nn.Linear)): "build() returned type",
    subclass(Model, "BuildTuple", build=returned((nn.Linear(2, 3),))): "build() returned tuple of Linear",
    subclass(Model, "OneArgument", build=lambda self, shape: nn.Linear(2, 3)): "build() raised TypeError",
    subclass(Model, "NoParameters", build=returned(nn.Flatten())): "nothing to train: it has no parameters",
    subclass(
        Model,
        "Lazy",
        build=lambda self, shape, n_classes: nn.Sequential(nn.Flatten(), nn.LazyLinear(n_classes)),
    ): "Lazy layer",
    model("Frozen", frozen): "nothing to train: all its parameters are frozen",
    model("NanStart", nan): "NaN or infinity before it is trained",
    model("Double", lambda module: module.double()): "cannot take inputs",
    forward("ReturnsDict", lambda module, logits, x: {"logits": logits}): "returns dict",
    forward("ReturnsTuple", lambda module, logits, x: (logits, x)): "returns tuple",
    forward("ReturnsClasses", lambda module, logits, x: logits.argmax(1)): "returns torch.int64 (2,)",
    forward("Squeezes", lambda module, logits, x: logits.squeeze()): "returns torch.float32 (3,)",
    forward("Detaches", lambda module, logits, x: logits.detach()): "cannot be trained",
    forward("RaisesInTraining", raise_in_training): "KeyError: 'only in training'",
    forward(
        "TupleInTraining", lambda module, logits, x: (logits, x) if module.training else logits
    ): "cannot be trained",
}


def examples(**changes):
    rng = np.random.default_rng(0)
    fields = {
        "inputs": rng.normal(size=(50, 6)).astype("f4"),
        "labels": np.arange(50) % 3,
        "n_train": 40,
        "n_classes": 3,
    }
    return Examples(**fields | changes)


def no_examples():
    return []


def read(name, **changes):
    return subclass(Dataset, name, read=lambda self: examples(**changes))


LABELS = np.arange(50) % 3
DATASETS = {
    subclass(
        Dataset, "ReadMissing", read=raised(FileNotFoundError(2, "No such file", "train.csv"))
    ): "read() raised FileNotFoundError",
    subclass(Dataset, "ReadKey", read=raised(KeyError("label"))): "read() raised KeyError: 'label'",
    subclass(Dataset, "ReadDivides", read=lambda self: 1 / 0): "read() raised ZeroDivisionError",
    subclass(
        Dataset, "ReadRefuses", read=raised(DataError("column label is missing"))
    ): "column label is missing",
    subclass(Dataset, "ReadNone", read=returned(None)): "read() returned None",
    subclass(
        Dataset, "ReadTuple", read=returned((np.zeros((50, 6)), np.zeros(50)))
    ): "read() returned tuple of ndarray",
    subclass(Dataset, "ReadStatic", read=staticmethod(no_examples)): "read() returned empty list",
    subclass(Dataset, "ReadProperty", read=property(raised(OSError("gone")))): "read() raised OSError: gone",
    read("LabelList", labels=LABELS.tolist()): "labels is list of int",
    read("LabelFloats", labels=LABELS.astype("f4")): "labels is ndarray of float32",
    read("LabelOneHot", labels=np.eye(3, dtype=int)[LABELS]): "labels is ndarray of int64 and shape (50, 3)",
    read("LabelTensor", labels=torch.arange(50) % 3): "labels is Tensor of torch.int64",
    read("LabelMasked", labels=np.ma.array(LABELS)): "labels is MaskedArray",
    read("LabelBools", labels=LABELS > 0): "labels is ndarray of bool",
    read("LabelStrings", labels=LABELS.astype(str)): "labels is ndarray of <U21",
    read("InputObjects", inputs=np.zeros((50, 6), object)): "inputs is ndarray of object",
    read("InputTensor", inputs=torch.zeros(50, 6)): "inputs is Tensor",
    read("InputComplex", inputs=np.zeros((50, 6), complex)): "inputs is ndarray of complex128",
    read("InputList", inputs=[[0.0]] * 50): "inputs is list of list",
    read("CountFloat", n_train=40.0): "n_train is 40.0",
    read("FlippedOutside", mislabelled=np.array([45])): "mislabelled holds id 45",
}


# Sound: counts may be of NumPy's types.
read("NumpyCounts", n_train=np.int64(40), n_classes=LABELS.max() + 1)


def select(name, value):
    return subclass(ForgetSet, name, select=returned(value))


FORGET_SETS = {
    select("SelectList", [3, 5]): "select() returned list of int",
    select("SelectSet", {3, 5}): "select() returned set of int",
    select("SelectNone", None): "select() returned None",
    select("SelectTensor", torch.tensor([3, 5])): "select() returned Tensor of torch.int64",
    select("SelectMask", np.arange(60) < 3): "numpy.flatnonzero",
    select("SelectFloats", np.array([3.0, 5.0])): "float64",
    select("SelectTwice", np.array([9, 3, 3])): "holds id 3 2 times",
    select("SelectOutside", np.array([3, 60])): "id 60",
    select("SelectNegative", np.array([-1])): "id -1",
    select("SelectColumn", np.array([[3], [5]])): "shape (2, 1)",
    select("SelectMasked", np.ma.array([3, 5], mask=[True, False])): "MaskedArray",
    subclass(
        ForgetSet, "SelectAttribute", select=lambda self, examples, margins: examples.ids[:3]
    ): "'Examples' object has no attribute 'ids'",
    subclass(
        ForgetSet, "SelectTooFew", select=lambda self, examples: np.array([3])
    ): "select() raised TypeError",
    subclass(ForgetSet, "NeedsText", needs="full", select=returned(np.array([3]))): "`needs` is 'full'",
    subclass(
        ForgetSet, "ContentBytes", select=returned(np.array([3])), content=returned(b"x")
    ): "content() returned bytes",
    subclass(
        ForgetSet, "CheckFalse", select=returned(np.array([3])), check=returned(False)
    ): "check() returned False",
}


class HelperRaises(Coherent):
    label: int = 1
    n_points: int = 2

    def _members(self, examples):
        raise KeyError("m")


FORGET_SETS["HelperRaises"] = "check() raised KeyError: 'm'"


class Bare(Estimator):
    """An estimator without any mistake: nothing has an effect."""

    def factor(self, evidence):
        return {"mean": evidence.masks.mean(axis=0)}

    def fit(self, factor, evidence, block):
        return {"everything": block.outputs.mean(axis=0)}

    def datamodel(self, factor, fit, evidence, block):
        return WeightMatrix(
            matrix=np.zeros((evidence.n_train, len(fit["everything"])), "f4"), everything=fit["everything"]
        )


class RefusalError(DataError):
    """A refusal of the user's own, made of two parts."""

    def __init__(self, column, row):
        super().__init__(f"{column} is bad in row {row}")


DATASETS[subclass(Dataset, "ReadRefusesInPart", read=raised(RefusalError("age", 3)))] = (
    "RefusalError: age is bad in row 3"
)


class Answers:
    """A datamodel that answers whatever it was given."""

    def __init__(self, answer):
        self.answer = answer

    def predict(self, masks):
        return self.answer()

    def effect_of_removing(self, indices):
        return self.answer()

    def weights(self):
        return self.answer()


def answering(name, answer):
    return subclass(Bare, name, datamodel=lambda self, *given: Answers(answer))


ESTIMATORS_EARLY = {
    subclass(Bare, "NeedsList", needs=["subset"]): "`needs` is ['subset']",
    subclass(Bare, "ScalarsText", scalars="r2"): "`scalars` is 'r2'",
    subclass(Bare, "RevisionText", revision="2"): "`revision` is '2'",
    subclass(Bare, "CheckRaises", check=raised(StrangeError())): "check() raised mistakes.StrangeError",
    subclass(Bare, "CountRaises", check_count=raised(KeyError(3))): "check_count() raised KeyError: 3",
    subclass(Bare, "ModelRaises", check_model=raised(TypeError())): "check_model() raised TypeError",
    subclass(Bare, "OutputsList", outputs=returned(["logits"])): "outputs() returned list of str",
    subclass(Bare, "OutputsUnknown", outputs=returned(frozenset({"losses"}))): "losses",
    subclass(Bare, "GuidedByText", guided_by=returned("trak")): "guided_by() returned 'trak'",
}
ESTIMATORS_LATE = {
    subclass(Bare, "FactorNone", factor=returned(None)): "factor() returned None",
    subclass(Bare, "FactorLists", factor=returned({"a": [1.0]})): "factor() returned dict of 'a': list",
    subclass(Bare, "FactorEmpty", factor=returned({})): "it holds no array",
    subclass(
        Bare, "FactorUneven", factor=returned({"a": np.zeros(2), "b": np.zeros(3)})
    ): "expected numbers of shape (2, ...)",
    subclass(Bare, "FactorObjects", factor=returned({"a": np.zeros(2, object)})): "'a' is ndarray of object",
    subclass(
        Bare, "FactorRaises", factor=raised(FileNotFoundError("weights.npy"))
    ): "factor() raised FileNotFoundError: weights.npy",
    subclass(Bare, "FitShort", fit=returned({"everything": np.zeros(2)})): "expected numbers of shape (",
    subclass(
        Bare, "FitReserved", fit=lambda self, f, e, block: {"margin_r2": np.zeros(block.outputs.shape[1])}
    ): "is taken",
    subclass(Bare, "FitWithoutScalar", scalars=("r2",)): "`scalars` names 'r2'",
    subclass(Bare, "DatamodelNone", datamodel=returned(None)): "datamodel() returned None",
    answering("EffectNone", lambda: None): "effect_of_removing() returned None",
    answering("EffectRaises", lambda: {}["x"]): "KeyError: 'x'",
    answering("EffectNan", lambda: Effect(np.full(90, np.nan), np.zeros(90))): "expected a finite number",
    answering("EffectShort", lambda: Effect(np.zeros(2), np.zeros(2))): "expected one for each",
}


def phases(name, **changes):
    def method(self, request):
        points = same_for_all(request.forget, len(request.seeds))
        phase = {
            "points": points,
            "objective": cross_entropy,
            "descent": Descent(epochs=1, batch_size=2, learning_rate=0.1),
            "drop_last": False,
        }
        return [
            Phase(
                **phase
                | {
                    key: value(points) if callable(value) and key != "objective" else value
                    for key, value in changes.items()
                }
            )
        ]

    return subclass(ScheduledUnlearner, name, phases=method)


def answered(name, **changes):
    def method(self, request):
        fields = {"states": request.states, "logits": request.logits, "n_samples": 0}
        return Unlearned(**fields | {key: value(fields[key]) for key, value in changes.items()})

    return subclass(Unlearner, name, unlearn=method)


UNLEARNERS_LATE = {
    subclass(Unlearner, "UnlearnNone", unlearn=returned(None)): "unlearn() returned None",
    subclass(
        Unlearner, "UnlearnRaises", unlearn=raised(StrangeError())
    ): "unlearn() raised mistakes.StrangeError",
    answered("LogitsTensor", logits=torch.from_numpy): "`logits` is Tensor",
    answered("LogitsShort", logits=lambda logits: logits[:, :2]): "`logits` is ndarray",
    answered("StatesLost", states=lambda states: {}): "`states` do not match those of the request",
    answered("SamplesFloat", n_samples=lambda n: 1.5): "`n_samples` is 1.5",
    subclass(ScheduledUnlearner, "PhasesNone", phases=returned(None)): "phases() returned None",
    subclass(ScheduledUnlearner, "PhasesEmpty", phases=returned([])): "it lists no phases",
    subclass(
        ScheduledUnlearner, "PhasesText", phases=returned(["finetune"])
    ): "phases() returned list of str",
    phases("PointsFloat", points=lambda points: points.astype(float)): "`points` is ndarray of float64",
    phases("PointsOutside", points=lambda points: points + 1000): "`points` spans",
    phases(
        "TargetsShort", targets=lambda points: np.zeros((*points.shape, 2))
    ): "targets have shape (2, 5, 2)",
    phases("ObjectiveRaises", objective=raised(KeyError("loss"))): "KeyError: 'loss'",
    phases("PointsList", points=lambda points: points.tolist()): "phases() raised AttributeError",
}


class WantedList(Matching):
    retain_points: int = 10

    def wanted_logits(self, request):
        return [1.0]


UNLEARNERS_LATE["WantedList"] = "wanted_logits() returned list of float"


class RetainText(Unlearner):
    retain_points: str = "all"

    def unlearn(self, request):
        return Unlearned(states=request.states, logits=request.logits, n_samples=0)


UNLEARNERS_EARLY = {
    subclass(
        Unlearner, "UnlearnerNeedsList", needs=["effect"], unlearn=returned(None)
    ): "`needs` is ['effect']",
    subclass(Unlearner, "MovesText", moves_weights="yes", unlearn=returned(None)): "`moves_weights` is 'yes'",
}


class Recorded(ModelSource):
    """Two recorded models, as they should be."""

    def offers(self):
        return frozenset({"masks", "margins"})

    def n_models(self):
        return 8

    def digests(self, start, stop):
        return tuple("abcdefgh"[start:stop])

    def read_masks(self, start, stop):
        return np.arange((stop - start) * 60).reshape(-1, 60) % 2 == 0

    def read_outputs(self, start, stop):
        return np.zeros((stop - start, 80), "f4")

    def check(self, examples):
        pass


RECORDS = {
    subclass(Recorded, "DigestsList", digests=returned(["a"])): "digests() returned list of str",
    subclass(Recorded, "DigestsFew", digests=returned(("a",))): "expected 8, one for each model",
    subclass(Recorded, "ModelsNone", n_models=returned(0)): "has no models",
    subclass(Recorded, "OffersText", offers=returned("no")): "offers() returned 'no'",
    subclass(
        Recorded, "OffersUnknown", offers=returned(frozenset({"weights"}))
    ): "expected some of logits, margins, masks, states",
    subclass(
        Recorded, "MasksInts", read_masks=lambda self, a, b: np.ones((b - a, 60), int)
    ): "expected booleans",
    subclass(
        Recorded, "MasksNarrow", read_masks=lambda self, a, b: np.ones((b - a, 9), bool)
    ): "masks over (9,)",
    subclass(
        Recorded, "OutputsNan", read_outputs=lambda self, a, b: np.full((b - a, 80), np.nan)
    ): "expected finite floats",
    subclass(
        Recorded, "OutputsRaise", read_outputs=raised(OSError("disk"))
    ): "read_outputs() raised OSError: disk",
    subclass(Recorded, "CheckStops", check=raised(StopIteration())): "check() raised StopIteration",
}


class InitRaises(Ridge):
    def __init__(self, **settings):
        raise KeyError("settings")


class ValidatorDivides(Ridge):
    share: float = 0.0

    @field_validator("share")
    @classmethod
    def _check_share(cls, share):
        return 1 / share


class PostInitRaises(Ridge):
    def model_post_init(self, context):
        raise StrangeError


class HoldsLock(Ridge):
    _lock: object = PrivateAttr(default_factory=threading.Lock)


class HoldsObject(Ridge):
    thing: object = object()


class Unfinished(Estimator):
    needs: ClassVar = frozenset({"subset"})


BUILDS = {
    "InitRaises": "KeyError: 'settings'",
    "ValidatorDivides": "ZeroDivisionError",
    "PostInitRaises": "mistakes.StrangeError",
    "HoldsLock": "cannot be sent to workers",
    "HoldsObject": "cannot be kept as JSON",
    "Unfinished": "does not define datamodel, factor, fit",
}
