"""Tasks ask a cluster for the resources in the config, stage by stage, in Ray's own words."""

from collections.abc import Callable

import pytest
import torch
from ray._private.label_utils import validate_label_selector

from jobs.session import Session
from pipeline import config
from pipeline.core.errors import ConfigError
from pipeline.core.resources import Need
from pipeline.execution.ray.cluster import has_labels, machine_of
from pipeline.execution.ray.tasks import options_of
from pipeline.graph import shard_task

Open = Callable[..., Session]


def test_each_stage_asks_for_its_own(open_tiny: Open) -> None:
    nodes = open_tiny(
        "resources={train: {num_cpus: 2}, unlearn: {num_gpus: 0.5}, fit: {memory_gb: 8}, compute: {custom: "
        "{disk: 1}}}"
    ).graph.nodes
    assert nodes["train/subset"].resources.num_cpus == 2
    assert nodes["unlearn/dmm/some"].resources.num_gpus == 0.5
    assert {nodes[key].resources.memory_gb for key in ("factor", "fit", "score", "effect/some")} == {8}
    assert nodes["report"].resources.custom == {"disk": 1}


def test_the_fit_asks_for_what_computing_does_unless_told(open_tiny: Open) -> None:
    assert open_tiny("resources.compute.memory_gb=3").graph.nodes["fit"].resources.memory_gb == 3


def test_ray_is_asked_in_its_own_words() -> None:
    settings = [
        "resources.unlearn={num_gpus: 0.5, memory_gb: 2, custom: {a100: 1}, labels: {market: 'in(spot, "
        "test)'}}"
    ]
    asked = config.build(
        {"forget_sets": {"some": {"name": "random", "n_points": 5}}, "unlearners": {"nothing": "no_op"}},
        settings,
    ).resources.unlearn
    options = options_of(asked.need, retries=0)
    told = {
        "num_gpus": 0.5,
        "memory": 2 << 30,
        "resources": {"a100": 1.0},
        "label_selector": {"market": "in(spot, test)"},
    }
    assert options.items() >= told.items()
    assert validate_label_selector(options["label_selector"]) is None


@pytest.mark.parametrize(
    "override",
    [
        "resources.train.labels={market: '==spot'}",
        "resources.train.num_gpus=1.5",
        "resources.train.custom={disk: 0}",
    ],
)
def test_what_ray_would_refuse_is_refused_when_the_config_is_read(open_tiny: Open, override: str) -> None:
    with pytest.raises(ConfigError, match=r"resources\.train"):
        open_tiny(override)


@pytest.mark.parametrize(
    ("selector", "nodes"),
    [
        ("spot", [True, False, False]),
        ("!spot", [False, True, True]),
        ("in(spot, od)", [True, True, False]),
        ("!in(spot, od)", [False, False, True]),
    ],
)
def test_nodes_are_selected_by_their_labels(selector: str, nodes: list[bool]) -> None:
    need = Need(labels=(("market", selector),))
    assert [
        has_labels(need, machine_of({"Resources": {"CPU": 1.0}, "Labels": labels}))
        for labels in ({"market": "spot"}, {"market": "od"}, {})
    ] == nodes


@pytest.mark.parametrize(
    ("device", "num_gpus", "limited"),
    [("cuda:0", 0.25, [(0.25, "cuda:0")]), ("cuda:0", 2.0, [(1.0, "cuda:0")]), ("cpu", 0.25, [])],
)
def test_a_part_of_a_gpu_is_a_part_of_its_memory(
    monkeypatch: pytest.MonkeyPatch, device: str, num_gpus: float, limited: list
) -> None:
    found: list = []
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda *given: found.append(given))
    shard_task._limit_memory(device, num_gpus)
    assert found == limited
