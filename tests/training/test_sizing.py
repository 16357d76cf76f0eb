"""Sizes follow the granted memory.

Small models on a usual machine keep the sizes they always had.
"""

import numpy as np
import pytest
import torch
from test_loop import builder_of, data_for, equal, training

from pipeline.core.resources import Grant
from pipeline.models.cnn import Cnn
from pipeline.models.mlp import Mlp
from pipeline.training import sizing
from pipeline.training.ensemble import compute_logits, initial_states
from pipeline.training.loop import run_phases
from pipeline.training.sizing import (
    Allowance,
    allowing,
    footprint,
    largest_evaluation_batch,
    memory_granted,
    training_group,
)

GB = 2**30
MODELS = [Mlp(width=8), Cnn(width=2)]


def sizes(model, memory_bytes, batch_size=64):
    template, inputs = builder_of(model)(), data_for(model).first(1)
    with allowing(Allowance(memory_bytes=memory_bytes)):
        return training_group(template, inputs, batch_size), largest_evaluation_batch(template, inputs)


@pytest.mark.parametrize("model", [*MODELS, Mlp(width=512)], ids=repr)
def test_small_models_keep_the_sizes_they_had(model):
    assert sizes(model, 2 * GB) == (50, 2048)
    assert training_group(builder_of(model)(), data_for(model).first(1), 64) == 50


@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_sizes_shrink_with_the_memory_and_never_below_one_member(model):
    found = [sizes(model, 2**power) for power in range(30, 9, -1)]
    assert found == sorted(found, reverse=True)
    assert found[-1] == (1, 16)
    assert any(1 < group < 50 for group, _ in found)
    assert all(batch & (batch - 1) == 0 for _, batch in found)


def test_a_larger_batch_and_a_larger_model_leave_room_for_fewer():
    assert sizes(Cnn(width=2), 10_000_000, 512)[0] < sizes(Cnn(width=2), 10_000_000, 64)[0]
    assert sizes(Cnn(width=8), 10_000_000)[0] < sizes(Cnn(width=2), 10_000_000)[0]


def test_a_footprint_counts_what_a_layer_returns():
    template = torch.nn.Linear(100, 300)
    found = footprint(template, torch.zeros(4, 100))
    assert found.state == 4 * (100 * 300 + 300)
    assert found.evaluated_point == 4 * (100 + 3 * 300)
    assert found.training_point >= 4 * (100 + 2 * 300)


def test_a_footprint_leaves_the_model_and_the_random_numbers_alone():
    template = builder_of(Cnn(width=2))()
    before, state = (
        {name: value.clone() for name, value in template.state_dict().items()},
        torch.get_rng_state(),
    )
    footprint(template, torch.zeros(3, 1, 6, 6))
    assert equal(template.state_dict(), before)
    assert torch.equal(torch.get_rng_state(), state)
    assert template.training


@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_groups_sized_by_memory_move_no_bit(model):
    build, data, seeds = builder_of(model), data_for(model), list(range(5))
    states, phase = initial_states(build, seeds), training(5, optimizer="muon", momentum=0.9)
    sized = {}
    for memory_bytes in (None, 4 * 2**20, 2**16, 1):
        with allowing(Allowance(memory_bytes=memory_bytes)):
            trained = run_phases(build(), states, [phase], data, seeds=seeds, kind="stacked")
            sized[memory_bytes] = trained, compute_logits(build(), trained, data, kind="stacked")
    assert all(
        equal(trained, sized[None][0]) and np.array_equal(logits, sized[None][1])
        for trained, logits in sized.values()
    )


def test_the_recorded_batch_is_the_batch_of_evaluation(monkeypatch):
    seen = []
    data = data_for(Mlp())
    monkeypatch.setattr(
        type(data), "batches", lambda self, _points, size: seen.append(size) or iter(self.inputs.split(size))
    )
    states = initial_states(builder_of(Mlp(width=8)), [0])
    with allowing(Allowance(evaluation_batch=16)):
        compute_logits(builder_of(Mlp(width=8))(), states, data, kind="looped")
    compute_logits(builder_of(Mlp(width=8))(), states, data, kind="looped")
    assert seen == [16, 2048]


def test_tasks_share_what_is_free_unless_they_ask_for_memory(monkeypatch):
    monkeypatch.setattr(sizing, "available_memory", lambda: 64 * GB)
    monkeypatch.setattr(sizing, "resident_bytes", lambda: GB)
    monkeypatch.setattr(sizing, "n_cpus", lambda: 8)
    assert memory_granted("cpu", Grant(num_cpus=1, num_gpus=0.0, memory_bytes=None)) == 8 * GB
    assert memory_granted("cpu", Grant(num_cpus=4, num_gpus=0.0, memory_bytes=None)) == 32 * GB
    assert memory_granted("cpu", Grant(num_cpus=1, num_gpus=0.0, memory_bytes=int(6.0 * GB))) == 5 * GB
    assert memory_granted("cpu", Grant(num_cpus=1, num_gpus=0.0, memory_bytes=int(500.0 * GB))) == 64 * GB


@pytest.mark.parametrize(("num_gpus", "expected"), [(1.0, 66), (0.5, 36), (2.0, 66)])
def test_a_part_of_a_gpu_is_a_part_of_its_memory(monkeypatch, num_gpus, expected):
    """80 GB, 60 of them free, of which torch holds 10 and uses 4."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (60 * GB, 80 * GB))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _device: 10 * GB)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _device: 4 * GB)
    assert memory_granted("cuda:0", Grant(num_cpus=1, num_gpus=num_gpus, memory_bytes=None)) == expected * GB
