"""A folder in EasyDUB's layout is a whole experiment.

Our unlearners start from its models and are judged against its margins.
"""

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from model_folders import KEYS, Made, save_state, write_easydub
from terminal import Dmm, answer

from jobs.session import Session, open_session
from pipeline.core.settings.renamed import RenamedWarning
from pipeline.data.datasets.digits import Digits
from pipeline.graph.logits_layout import read_logits

IDS = {2: (40, 7, 103, 9), 10: (5, 1, 60)}
N_TRAIN = 120
ORACLES = tuple(range(6))
FOLDER = {"name": "easydub", "folder": "dub", "dataset": "digits", "model": "small", "epoch": 3, "keys": KEYS}


def experiment(**changes: Any) -> dict[str, Any]:
    """Return the config of an experiment that trains no model.

    It unlearns with two methods and judges by margins.
    """
    oracles = FOLDER | {"forget_sets": {"two": 2, "ten": 10}, "use": ["margins"]}
    return {
        "name": "dub",
        "dataset": {"name": "digits", "n_train": N_TRAIN},
        "model": {"name": "mlp", "width": 8},
        "recipe": {"epochs": 2, "ensemble": "looped"},
        "populations": {
            "full": {"source": FOLDER | {"use": ["states"]}, "n_models": 4},
            "oracle": {"source": oracles, "n_models": 3},
            "floor": {"source": oracles | {"skip": 3}},
            "heldout": None,
        },
        "forget_sets": {
            label: {"name": "file", "path": f"dub/forget_sets/digits/forget_set_{number}.npy"}
            for label, number in (("two", 2), ("ten", 10))
        },
        "unlearners": {"nothing": "no_op", "ascent": {"name": "gradient_ascent", "epochs": 1}},
        "judges": {"klom": {"n_resamples": 20}},
        "store": {"layout": {"block_points": 600}},
        "tracking": {"uri": "none"},
    } | changes


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Made]:
    """Write the folder once: models of digits with a small network whose tensors have other names."""
    folder = tmp_path_factory.mktemp("published") / "dub"
    examples = Digits(n_train=N_TRAIN).load()
    return folder, write_easydub(
        folder, examples, IDS, numbers=ORACLES, kinds=("states", "margins"), dataset="digits"
    )


@pytest.fixture
def run_dub(dmm: Dmm, made: tuple[Path, Made], tmp_path: Path) -> Any:
    """Run a command on the experiment in a folder that holds a link to the published one."""
    (tmp_path / "dub").symlink_to(made[0])

    def run(verb: str, *options: str, **changes: Any) -> tuple[int, str, str]:
        (tmp_path / "dub.yaml").write_text(yaml.safe_dump(experiment(**changes), sort_keys=False))
        return dmm(verb, "dub.yaml", "--store", "store", *options)

    return run


def test_a_published_folder_is_a_whole_experiment(
    run_dub: Any, made: tuple[Path, Made], tmp_path: Path
) -> None:
    plan = answer(run_dub("plan", "--json")[1])
    assert plan["retrainings"] == 0
    status, out, err = run_dub("run", "--executor", "serial", "--json")
    result = answer(out)
    assert (status, result["n_models_made"], result["failures"]) == (0, 2 * 4 * 2, []), err
    assert {(row["unlearner"], row["forget_set"]) for row in result["results"]} == {
        (m, s) for m in ("nothing", "ascent") for s in ("two", "ten")
    }
    # Weights are read where they lie: the store holds none but those of the unlearned models that it keeps.
    assert not list((tmp_path / "store" / "train").rglob("*.safetensors"))
    assert "from easydub, not trained here" in Path(result["report"]).read_text()
    again = answer(run_dub("run", "--executor", "serial", "--json")[1])
    assert (again["n_models_made"], again["results"]) == (0, result["results"])


def test_what_doing_nothing_scores_is_what_the_folder_scores(run_dub: Any, dmm: Dmm) -> None:
    judges = {"klom": {"variant": "easydub", "n_resamples": 20}}
    unlearners = {"nothing": "no_op"}
    populations = experiment()["populations"] | {
        "oracle": {
            "source": FOLDER | {"forget_sets": {"two": 2, "ten": 10}, "use": ["margins"]},
            "n_models": 4,
        }
    }
    populations["floor"] = {"source": populations["oracle"]["source"] | {"skip": 4}}
    result = answer(
        run_dub(
            "run",
            "--executor",
            "serial",
            "--json",
            populations=populations,
            judges=judges,
            unlearners=unlearners,
        )[1]
    )
    row = next(row for row in result["results"] if row["forget_set"] == "two")
    named = (
        "--dataset",
        "digits",
        "--model",
        "small",
        "--epoch",
        "3",
        "--n-models",
        "4",
        "--variant",
        "easydub",
    )
    folder = answer(
        dmm("klom", "--layout", "easydub", "--root", "dub", "--forget-set", "2", *named, "--json")[1]
    )
    assert {split: row[split] for split in folder["splits"]} == pytest.approx(
        {split: of["p95"] for split, of in folder["splits"].items()}, abs=1e-3
    )


def test_unlearning_starts_from_one_checkpoint(run_dub: Any, tmp_path: Path) -> None:
    one = {
        "name": "checkpoints",
        "folder": "dub/models/digits/pretrain/small",
        "files": "id_0_epoch_3.pt",
        "keys": KEYS,
    }
    populations = experiment()["populations"] | {"full": {"source": one}}
    status, out, err = run_dub("run", "--executor", "serial", "--json", populations=populations)
    result = answer(out)
    assert (status, result["n_models_made"], result["failures"]) == (0, 4, []), err
    assert (
        "judge 'klom' leaves out 'nothing', 'ascent': it needs 2 models on each side, and populations.full "
        "has 1 model" in " ".join(err.split())
    )
    (checkpoint, *_) = (tmp_path / "store" / "unlearn").rglob("*.safetensors")
    assert checkpoint.stat().st_size > 0


@pytest.mark.filterwarnings("default:`imported` of populations")
def test_outputs_that_are_missing_beside_weights_are_computed(
    run_dub: Any, made: tuple[Path, Made], tmp_path: Path
) -> None:
    oracles = FOLDER | {"forget_sets": {"two": 2, "ten": 10}, "use": ["states"]}
    populations = {"oracle": {"imported": oracles, "n_models": 3}, "floor": {"source": oracles | {"skip": 3}}}
    # The judge compares as many models on each side.
    populations["full"] = {"source": FOLDER | {"use": ["states"]}, "n_models": 3}
    judges = {"weights": {"name": "outside_judges:Weights"}, "accuracy": {}}
    status, out, err = run_dub(
        "run",
        "--executor",
        "serial",
        "--json",
        populations=experiment()["populations"] | populations,
        judges=judges,
    )
    assert (status, err.count("`imported` of populations is called `source` now")) == (0, 1), answer(out)[
        "failures"
    ]
    rows = {
        (row["unlearner"], row["forget_set"]): row["scores"]["weights"]["rows"][0]
        for row in answer(out)["results"]
    }
    assert rows["nothing", "two"]["value"] == 0.0
    assert rows["ascent", "two"]["value"] > 0
    assert rows["nothing", "two"]["reference"] > 0.01
    with pytest.warns(RenamedWarning, match="`imported` of populations"):
        session = open_session("dub.yaml", store="store")
    table = session.graph.survey(session.store)["train/oracle/ten"].table
    computed = read_logits(session.store, table, session.experiment.store.layout, session.examples.n_points)
    expected = np.stack([made[1].logits["oracle/forget_10"][number] for number in range(3)])
    assert np.allclose(computed, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("populations", "said"),
    [
        (
            {"full": {"source": FOLDER | {"use": ["margins"]}}},
            "offers margins of train/full, but no states: unlearners.nothing starts from them. What would",
        ),
        (
            {"full": {"source": FOLDER | {"keys": {}}}},
            "id_0_epoch_3.pt does not match the model: missing: 1.weight",
        ),
        ({"oracle": {"source": FOLDER | {"forget_sets": {"two": 2}}}}, "forget_sets has no number for 'ten'"),
        (
            {"oracle": {"source": FOLDER | {"forget_sets": {"two": 10, "ten": 2}}}},
            "the source's oracles left out 3 points, the forget set has 4, and 7 of them differ",
        ),
        (
            {"floor": {"source": FOLDER | {"forget_sets": {"two": 2, "ten": 10}}}},
            "3 of 6 floor models are also among the 3 oracle models",
        ),
        ({"oracle": {"source": "madrylab"}}, "folder"),
        ({"full": {"source": FOLDER | {"folder": "nowhere"}}}, "nowhere holds no models"),
    ],
)
def test_what_a_source_lacks_is_said_before_anything_is_computed(
    run_dub: Any, tmp_path: Path, populations: dict[str, Any], said: str
) -> None:
    status, _, err = run_dub(
        "run", "--executor", "serial", populations=experiment()["populations"] | populations
    )
    assert (status, said in " ".join(err.split())) == (2, True), err
    assert not (tmp_path / "store").exists()


def test_a_checkpoint_that_changes_makes_what_rests_on_it_stale(
    run_dub: Any, made: tuple[Path, Made], tmp_path: Path
) -> None:
    assert run_dub("run", "--executor", "serial", "--until", "unlearn")[0] == 0
    path = made[0] / "models/digits/pretrain/small/id_1_epoch_3.pt"
    before = path.read_bytes()
    save_state(path, made[1].states["pretrain"][2])
    try:
        states = {row["node"]: row["status"] for row in answer(run_dub("status", "--json")[1])["nodes"]}
    finally:
        path.write_bytes(before)
    assert {states["train/full"], states["unlearn/ascent/two"]} == {"stale"}
    assert states["train/oracle/two"] == "done"


CHECKPOINTS = {
    "name": "checkpoints",
    "folder": "only",
    "files": "models/digits/oracle/forget_{forget_set}/small/id_{id}_epoch_3.pt",
    "keys": KEYS,
}


@pytest.mark.parametrize(
    "source", [FOLDER | {"folder": "only", "use": ["margins"]}, CHECKPOINTS], ids=["easydub", "checkpoints"]
)
def test_a_folder_of_oracles_alone_is_judged_by(
    run_dub: Any, made: tuple[Path, Made], tmp_path: Path, source: dict[str, Any]
) -> None:
    for part in ("models", "margins", "forget_sets"):
        shutil.copytree(made[0] / part, tmp_path / "only" / part, ignore=shutil.ignore_patterns("pretrain"))
    oracles = source | {"forget_sets": {"two": 2, "ten": 10}}
    sources = {"oracle": {"source": oracles, "n_models": 3}, "floor": {"source": oracles | {"skip": 3}}}
    status, out, err = run_dub(
        "run",
        "--executor",
        "serial",
        "--json",
        populations={"full": {"n_models": 3}, "heldout": None} | sources,
    )
    assert (status, answer(out)["failures"]) == (0, []), err
    # 3 full models, and those that 2 methods unlearn on 2 forget sets.
    assert answer(out)["n_models_made"] == 3 + 3 * 2 * 2


def test_an_experiment_is_another_where_a_model_that_it_uses_is(
    run_dub: Any, made: tuple[Path, Made], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_dub("plan")[0] == 0
    digests = [open_session("dub.yaml", store="store").graph.digest]
    for which in (
        "margins/digits/oracle/forget_2/retain/small/id_1_epoch_3.npy",
        "models/digits/oracle/forget_2/small/id_1_epoch_3.pt",
    ):
        path = made[0] / which
        before = path.read_bytes()
        shutil.copyfile(path.with_name(path.name.replace("id_1", "id_0")), path)
        try:
            digests.append(open_session("dub.yaml", store="store").graph.digest)
        finally:
            path.write_bytes(before)
    # The oracles' margins are read, their weights are not.
    assert digests[0] == digests[2] != digests[1]


@pytest.fixture
def open_dub(
    made: tuple[Path, Made], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Session]:
    """Open the experiment in a folder that holds a link to the published one."""
    (tmp_path / "dub").symlink_to(made[0])
    monkeypatch.chdir(tmp_path)

    def open_it(**changes: Any) -> Session:
        (tmp_path / "dub.yaml").write_text(yaml.safe_dump(experiment(**changes), sort_keys=False))
        return open_session("dub.yaml", store="store")

    return open_it


def questions(session: Session) -> dict[str, str | None]:
    """Return what each table answers."""
    return {key: state.question for key, state in session.graph.survey(session.store).items()}


def test_what_is_made_of_a_sources_weights_rests_on_the_model(open_dub: Callable[..., Session]) -> None:
    weights = {"judges": {"weights": {"name": "outside_judges:Weights"}}}
    both = FOLDER | {"forget_sets": {"two": 2, "ten": 10}}
    sources = {
        "full": {"source": FOLDER, "n_models": 3},
        "oracle": {"source": both, "n_models": 3},
        "floor": {"source": both | {"skip": 3}},
    }
    about = weights | {"populations": sources | {"heldout": None}}
    plain, averaging = (
        open_dub(**about, model={"name": "mlp", "width": 8} | own) for own in ({}, {"flip_average": True})
    )
    ours, others = questions(plain), questions(averaging)
    for key in (
        "unlearn/nothing/two",
        "unlearn/ascent/two",
        "evaluate/weights/floor/two",
        "evaluate/weights/ascent/ten",
    ):
        assert ours[key] != others[key], key
    assert plain.graph.nodes["unlearn/ascent/two"].plugins()[0] == plain.experiment.model
    trained = dataclasses.replace(plain.graph.nodes["unlearn/ascent/two"], start_source=None)
    assert "model" not in trained.settings()


def test_labels_of_forget_sets_enter_no_folder_of_a_source(open_dub: Callable[..., Session]) -> None:
    found = []
    for label in ("two", "zwei"):
        both = FOLDER | {"forget_sets": {label: 2}, "use": ["margins"]}
        sources = {
            "oracle": {"source": both, "n_models": 3},
            "floor": {"source": both | {"skip": 3}},
            "heldout": None,
        }
        full = {"source": FOLDER | {"forget_sets": {label: 2}, "use": ["states"]}, "n_models": 3}
        rule = {"name": "file", "path": "dub/forget_sets/digits/forget_set_2.npy"}
        asked = questions(open_dub(populations=sources | {"full": full}, forget_sets={label: rule}))
        found.append(
            [asked[key] for key in ("train/full", f"train/oracle/{label}", f"unlearn/ascent/{label}")]
        )
    assert found[0] == found[1]


def test_attribution_to_a_sources_scouts_rests_on_the_objective(open_dub: Callable[..., Session]) -> None:
    def asked(**recipe: Any) -> dict[str, str | None]:
        scouts = {"scout": {"source": FOLDER, "n_models": 2}, "full": {"source": FOLDER, "n_models": 3}}
        learner = {"dmm": {"name": "dmm", "retain_points": 10, "epochs": 1}}
        about = {
            "populations": experiment()["populations"] | scouts,
            "unlearners": learner,
            "estimator": {"name": "influence"},
        }
        return questions(open_dub(recipe={"epochs": 1, "ensemble": "looped"} | recipe, **about))

    plain, *others = asked(), asked(objective="squared_error"), asked(label_smoothing=0.1)
    for key in ("factor", "fit", "effect/two"):
        assert len({plain[key], *(other[key] for other in others)}) == 3, key
    assert plain["train/scout"] == others[0]["train/scout"]
