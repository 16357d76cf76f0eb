"""Populations of a cheaper model.

They have the same masks and seeds, and everything that reads them uses their model. No fit mixes them with
others unless asked.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from tiny import TINY, run_serially

from jobs.commands.plan import show_plan
from jobs.options import plain_console
from jobs.running import planning
from jobs.session import Session
from pipeline.attribution.linear.kernel import GroupKernel
from pipeline.core.errors import ConfigError

Open = Callable[..., Session]
PROXY = {
    "model": {"name": "mlp", "width": 4},
    "recipe": {"epochs": 1, "batch_size": 20, "ensemble": "stacked"},
}


class Mixed(GroupKernel):
    """The kernel, which says that it may learn from models of several kinds."""

    takes_fidelities: ClassVar[bool] = True


def populations(**own: dict[str, Any]) -> dict[str, Any]:
    return TINY["populations"] | {
        role: TINY["populations"][role] | settings for role, settings in own.items()
    }


def columns(session: Session, role: str, names: list[str]) -> dict[str, np.ndarray]:
    return session.store.read(session.graph.survey(session.store)[f"train/{role}"].table, names)


def test_a_whole_experiment_runs_on_proxies(open_tiny: Open, tmp_path: Path) -> None:
    session = open_tiny(populations=populations(subset=PROXY, scout=PROXY, heldout=PROXY))
    progress = run_serially(session, draws=True)
    assert not progress.failures
    plain = open_tiny(store=tmp_path / "plain")
    run_serially(plain, until="train")
    for role in ("subset", "heldout"):
        ours, target = (columns(one, role, ["mask", "seed", "logits_00000"]) for one in (session, plain))
        assert all(np.array_equal(ours[name], target[name]) for name in ("mask", "seed"))
        assert not np.array_equal(ours["logits_00000"], target["logits_00000"])
    state = session.graph.survey(session.store)["report"]
    page = session.store.read_blob(state.table.folder, state.pieces[0].shard, "html").decode()
    assert "subset (proxy: mlp, width 4, epochs 1, batch size 20" in page
    assert "By measured time, the datamodel costs" in page
    took = page[page.index('id="spent"') : page.index('id="pays"')]
    assert len(re.findall(r"<b>\d+ (?:s|min)</b>", took)) == len(session.graph.nodes["report"].populations)


def test_designed_models_are_proxies_with_the_other_subset_models(open_tiny: Open) -> None:
    nodes = open_tiny(populations=populations(subset=PROXY)).graph.nodes
    assert nodes["train/designed"].model == nodes["train/subset"].model != nodes["train/full"].model
    assert nodes["groups"].model == nodes["train/scout"].model == nodes["train/full"].model


def test_whatever_reads_scouts_uses_their_model(open_tiny: Open) -> None:
    nodes = open_tiny(populations=populations(scout=PROXY), estimator={"name": "influence"}).graph.nodes
    assert {nodes[key].model.width for key in ("train/scout", "factor", "fit")} == {4}


def test_the_plan_says_what_is_a_proxy(open_tiny: Open, capsys: pytest.CaptureFixture[str]) -> None:
    plan = planning.planned_work(open_tiny(populations=populations(subset=PROXY)))
    notes = {row["node"]: row["note"] for row in plan["nodes"] if row["node"].startswith("train/")}
    assert (
        notes["train/subset"]
        == notes["train/designed"]
        == "proxy: mlp, width 4, epochs 1, batch size 20, learning rate 0.2"
    )
    assert {notes[key] for key in notes if key not in ("train/subset", "train/designed")} == {""}
    show_plan(plan, plain_console(width=160))
    shown = capsys.readouterr().out
    assert "(proxy: mlp, width 4" in shown
    assert "Models of a proxy are counted as retrainings of the proxy" in shown
    assert planning.planned_work(open_tiny())["proxies"] == []


@pytest.mark.parametrize("role", ["full", "oracle", "floor", "designed"])
def test_models_that_are_compared_share_the_model(open_tiny: Open, role: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"populations.{role}: its model and recipe are .*; remove model and recipe here"
    ):
        open_tiny(populations=populations(**{role: PROXY}))


def test_several_kinds_in_one_fit_are_refused_until_an_estimator_takes_them(open_tiny: Open) -> None:
    mixed = populations(scout=PROXY)
    kernel = {"guide": {"rows": 16}}
    with pytest.raises(
        ConfigError,
        match=(
            r"several kinds in one fit \(designed: the model that unlearns; scout: proxy: mlp, width "
            r"4.*takes one"
        ),
    ):
        open_tiny(populations=mixed, estimator={"name": "kernel", **kernel})
    assert (
        open_tiny(populations=mixed, estimator={"name": "test_proxies:Mixed", **kernel})
        .graph.nodes["guide"]
        .model.width
        == 4
    )


def test_a_proxy_that_does_not_fit_the_data_is_refused_with_its_role(open_tiny: Open) -> None:
    with pytest.raises(ConfigError, match=r"populations.heldout: .*cnn"):
        open_tiny(populations=populations(heldout={"model": "cnn"}))
