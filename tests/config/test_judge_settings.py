"""Judges in a config: by label, with defaults, and under the former name of one judge."""

from typing import Any

import pytest
from tiny import TINY

from pipeline import config
from pipeline.core.errors import ConfigError
from pipeline.core.settings.renamed import RenamedWarning
from pipeline.evaluation.judges.accuracy_judge import AccuracyJudge
from pipeline.evaluation.judges.klom_judge import KlomJudge
from pipeline.evaluation.judges.ulira_judge import UliraJudge

PLAIN = {key: value for key, value in TINY.items() if key != "judges"}


@pytest.mark.parametrize(
    ("n_models", "labels"), [(4, ["klom", "accuracy", "ulira"]), (3, ["klom", "accuracy"])]
)
def test_without_any_there_are_klom_and_accuracy_and_ulira_where_there_are_models_enough(
    n_models: int, labels: list[str]
) -> None:
    assert list(config.build(PLAIN, [f"populations.floor.n_models={n_models}"]).judges) == labels


def test_a_refused_population_is_all_that_is_said_where_judges_follow_from_populations() -> None:
    with pytest.raises(ConfigError) as refusal:
        config.build(PLAIN, ["populations.floor.n_models=0"])
    assert (
        str(refusal.value)
        == "--set 'populations.floor.n_models=0': populations.floor.n_models: expected at least 1, got 0"
    )


def test_a_label_that_is_a_judges_name_names_it() -> None:
    judges = config.build(
        PLAIN
        | {
            "judges": {
                "klom": {"n_bins": 10},
                "ulira": None,
                "right": "accuracy",
                "accuracy": {"name": "klom"},
            }
        }
    ).judges
    assert judges == {
        "klom": KlomJudge(n_bins=10),
        "ulira": UliraJudge(),
        "right": AccuracyJudge(),
        "accuracy": KlomJudge(),
    }


def test_evaluation_is_accepted_as_klom_with_one_notice() -> None:
    with pytest.warns(RenamedWarning, match="`evaluation` is called `judges.klom` now") as told:
        found = config.build(PLAIN | {"evaluation": {"n_bins": 10}}, ["evaluation.n_resamples=30"])
    assert len(told) == 1
    assert found.judges == {
        "klom": KlomJudge(n_bins=10, n_resamples=30),
        "accuracy": AccuracyJudge(),
        "ulira": UliraJudge(),
    }


def test_both_names_are_one_experiment() -> None:
    with pytest.warns(RenamedWarning):
        old = config.build(PLAIN | {"evaluation": {"n_bins": 10}})
    assert old.digest == config.build(PLAIN).digest
    assert config.build(config.reading.yaml_text.load(old.to_yaml())) == old


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        (
            {"evaluation": {}, "judges": {"klom": {}}},
            "move the settings below `evaluation` to `judges.klom`, and remove `evaluation`",
        ),
        ({"evaluation": 3}, "evaluation: expected settings such as"),
        ({"judges": {}}, "judges is empty; name at least one"),
        ({"judges": ["klom"]}, "expected the settings of each judge below a label"),
        ({"judges": {"mine": {"n_bins": 3}}}, "judges.mine: needs a `name`"),
        ({"judges": {"klm": {}}}, "Did you mean `klm: {name: klom}`?"),
        ({"judges": {"mine": None}}, "known: accuracy, klom, ulira, or module:Class of your own"),
        ({"judges": {"klom": {"n_binz": 3}}}, "n_binz"),
        ({"judges": {"klom": {"start": "full"}}}, "does not read the models before unlearning; remove start"),
        ({"judges": {"ulirra": "ulirra"}}, "Did you mean 'ulira'?"),
        (
            {"judges": {"ulira": {}}, "populations": TINY["populations"] | {"oracle": {"n_models": 3}}},
            "but populations.oracle.n_models is 3; raise it to 4",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore::pipeline.core.settings.renamed.RenamedWarning")
def test_what_is_wrong_is_said_with_what_to_do(tree: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        config.build(PLAIN | tree)
    assert words in str(refused.value)
