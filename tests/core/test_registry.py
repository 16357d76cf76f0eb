"""Plug-ins are found by name or module:Class, and unknown names are refused with the nearest known name.

The identity of a plug-in depends on what it computes.
"""

import importlib
from abc import abstractmethod
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import Field, ValidationError

from pipeline.core.errors import ConfigError
from pipeline.core.registry import Plugin, PluginTable, describe, plugin_name, revision
from pipeline.core.settings.validation_errors import did_you_mean
from pipeline.models import MODELS
from pipeline.models.mlp import Mlp


class Shape(Plugin):
    @abstractmethod
    def area(self) -> float: ...


class Square(Shape):
    name: ClassVar[str] = "square"
    side: float = Field(default=1.0, gt=0)

    def area(self) -> float:
        return self.side**2


class Circle(Square):
    name: ClassVar[str] = "circle"


SHAPES = PluginTable("shape", Shape, (Square, Circle))
TANH = """
from torch import nn
from pipeline.models.base import Model

class Tanh(Model):
    width: int = 4
    def build(self, input_shape, n_classes):
        return nn.Linear(input_shape[0], n_classes)

class Unfinished(Model):
    pass

def function():
    pass
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    """A module of the user's own, beside the config."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"mine_{abs(hash(request.node.name))}.py"
    path.write_text(TANH)
    monkeypatch.syspath_prepend(str(tmp_path))
    return path


def test_settings_become_fields():
    assert SHAPES.build({"name": "square", "side": 3}).area() == 9


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "sqare"}, "unknown shape 'sqare'; known: circle, square. Did you mean 'square'?"),
        (
            {"side": 1},
            "shape: needs a `name`, such as `name: circle`; known: circle, square, or module:Class of your "
            "own",
        ),
        ({"name": 3}, "shape: `name` is 3; expected text"),
        (
            {"name": "square", "sdie": 1},
            "shape 'square': sdie: unknown setting; known: name, side. Did you mean 'side'?",
        ),
        ({"name": "square", "side": -1}, "side: expected more than 0, got -1"),
        ({"name": "square", "side": float("nan")}, "side: expected a finite number"),
        ({"name": "square", "side": "wide"}, "side: expected a number such as 0.1, got 'wide'"),
    ],
)
def test_a_wrong_setting_names_value_expectation_and_remedy(settings, message):
    with pytest.raises(ConfigError) as refusal:
        SHAPES.build(settings)
    assert message in str(refusal.value)


def test_all_problems_are_named_at_once():
    with pytest.raises(ConfigError) as refusal:
        SHAPES.build({"name": "square", "side": -1, "colour": "red"})
    assert len(str(refusal.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("def (", "invalid syntax"),
        ("missing + 1", "NameError: name 'missing'"),
        ("1 / 0", "ZeroDivisionError"),
    ],
)
def test_a_module_that_cannot_be_imported_is_named_with_its_line(module, line, reason):
    module.write_text(f"\n{line}\n")
    importlib.invalidate_caches()
    with pytest.raises(ConfigError, match=f"cannot be imported .*{reason}.*{module.name} line 2"):
        SHAPES.resolve(f"{module.stem}:Square")


def test_a_plugin_cannot_be_changed():
    with pytest.raises(ValidationError):
        Square().side = 2.0


def test_a_class_of_the_users_own_is_found_and_described_by_its_place(module):
    built = MODELS.build({"name": f"{module.stem}:Tanh", "width": 8})
    assert describe(built) == {"name": f"{module.stem}:Tanh", "width": 8, "flip_average": False}
    assert MODELS.build(describe(built)) == built


def test_the_source_of_the_users_class_is_part_of_its_revision(module):
    built = MODELS.build({"name": f"{module.stem}:Tanh"})
    before = revision(built)
    module.write_text(TANH + "# changed\n")
    assert revision(built)["source"] != before["source"]
    assert "source" not in revision(Mlp())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere_to_be_found:Tanh", "cannot be imported"),
        ("{}:Missing", "cannot be imported"),
        ("{}:function", "is not a subclass of pipeline.models.base.Model"),
        ("{}:Unfinished", "cannot be built"),
    ],
)
def test_a_class_that_cannot_serve_is_refused(module, name, message):
    with pytest.raises(ConfigError, match=message):
        MODELS.build({"name": name.format(module.stem)})


def test_names_of_built_in_plugins_are_short():
    assert plugin_name(Mlp()) == "mlp"
    assert revision(Mlp()) == {"mlp": Mlp.revision}


@pytest.mark.parametrize(
    ("name", "known", "said"),
    [("dmn", ["dmm", "no_op"], " Did you mean 'dmm'?"), ("zebra", ["dmm", "no_op"], "")],
)
def test_only_near_names_are_suggested(name, known, said):
    assert did_you_mean(name, known) == said
