"""The place and revision of a user's class are found, and the place of a mistyped setting."""

import sys
from typing import ClassVar

import pytest
from pydantic import ValidationError

from pipeline.core.errors import ConfigError
from pipeline.core.registry import Plugin, PluginTable, Settings, revision
from pipeline.core.settings.validation_errors import explain
from pipeline.models import MODELS

OWN = (
    "from pipeline.models.base import Model\n\nclass Own(Model):\n    revision = 3\n    def build(self, "
    "input_shape, n_classes):\n        return None\n"
)


class Noise(Settings):
    n_points: int = 0


class Source(Plugin):
    name: ClassVar[str] = "source"
    noise: Noise | None = None


SOURCES = PluginTable("source", Source, (Source,))


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Name a class beside the config, in a folder that Python does not search by itself."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "beside_the_config.py").write_text(OWN)
    yield "beside_the_config:Own"
    sys.modules.pop("beside_the_config", None)


def test_a_class_beside_the_config_is_found_without_a_search_path(own):
    assert revision(MODELS.build({"name": own}))[own] == 3


def test_a_mistyped_setting_inside_a_group_is_answered_from_that_group():
    with pytest.raises(ConfigError) as refusal:
        SOURCES.build({"name": "source", "noise": {"n_point": 3}})
    assert (
        str(refusal.value)
        == "source 'source': noise.n_point: unknown setting; known: n_points. Did you mean 'n_points'?"
    )


def test_a_required_setting_that_is_missing_is_named():
    class Strict(Settings):
        width: int

    with pytest.raises(ValidationError) as refusal:
        Strict()
    assert explain(refusal.value, at="model", model=Strict) == "model: width: is required"
