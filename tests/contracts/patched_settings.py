"""Add a setting to one class of each kind, as a later release would, and print the status of each table.

It runs in a process of its own, because it changes the classes themselves: `patched_settings.py CONFIG
STORE`.
"""

import json
import sys
from collections.abc import Iterator

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from jobs.session import open_session
from pipeline.attribution.gradients.influence import GroupInfluence
from pipeline.attribution.linear.kernel import GroupKernel
from pipeline.config.experiment import Experiment
from pipeline.config.populations import Focused, HeldoutModels, Members, Populations, SubsetModels
from pipeline.core.registry import Settings
from pipeline.core.settings.neutral import setting
from pipeline.data.datasets.npz import ArraysFile
from pipeline.data.forget_sets.random import Random
from pipeline.evaluation.judges.accuracy_judge import AccuracyJudge
from pipeline.evaluation.judges.klom_judge import KlomJudge
from pipeline.evaluation.judges.ulira_judge import UliraJudge
from pipeline.graph.logits_layout import Layout
from pipeline.models.mlp import Mlp
from pipeline.training.recipe.recipe import Recipe
from pipeline.unlearning.ascent import GradientAscent
from pipeline.unlearning.matching import Dmm
from pipeline.unlearning.no_op import NoOp

DATA = (ArraysFile, Random)
MODELS = (Mlp, Recipe, GroupKernel, GroupInfluence)
UNLEARNERS = (NoOp, Dmm, GradientAscent)
POPULATIONS = (SubsetModels, HeldoutModels, Members, Focused, Populations)
JUDGES = (KlomJudge, UliraJudge, AccuracyJudge)
OTHERS = (*JUDGES, Layout, Experiment)


def subclasses(cls: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Yield all classes below cls, those that others are built from first."""
    for below in cls.__subclasses__():
        yield below
        yield from subclasses(below)


def main() -> None:
    """Patch the classes, build them and whatever holds them anew, and print what the store has."""
    for cls in (*DATA, *MODELS, *UNLEARNERS, *POPULATIONS, *OTHERS):
        fields = cls.__pydantic_fields__
        fields["added"] = FieldInfo.from_annotated_attribute(float, setting(neutral=0.5, ge=0))
        fields["added_group"] = FieldInfo.from_annotated_attribute(
            dict[str, int] | None, setting(neutral=None)
        )
    # A class is built from the classes of its settings, which are therefore built first.
    for _ in range(3):
        for cls in subclasses(Settings):
            cls.model_rebuild(force=True)
    session = open_session(sys.argv[1], store=sys.argv[2])
    assert session.experiment.recipe.added == 0.5, "the settings are not added"
    states = session.graph.survey(session.store)
    print(
        json.dumps(
            {"digest": session.graph.digest, "statuses": {key: state.status for key, state in states.items()}}
        )
    )


if __name__ == "__main__":
    main()
