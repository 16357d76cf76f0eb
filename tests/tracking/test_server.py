"""A real MLflow server is killed during a run.

The run goes on, and missed values arrive in the end in the same parent run.
"""

from pathlib import Path

import pytest
from mlflow import MlflowClient
from server import serving
from tiny import TINY, run_serially
from tracking.test_mirror import wait_until

from pipeline.execution.progress import Progress
from pipeline.tracking.listener import TrackingListener, open_view
from pipeline.tracking.mirror import LEFT, MirrorPatience

ONE_SET = {"forget_sets": {"some": TINY["forget_sets"]["some"]}, "unlearners": {"nothing": "no_op"}}


def leave(view: TrackingListener, progress: Progress, *stages: str) -> None:
    """Tell the view that all nodes of some stages are done."""
    for state in progress.states.values():
        if state.node.stage in stages:
            view.node_done(state, progress)


def shown(database: str) -> dict[str, str]:
    """Return the status of each run of which something was logged to its end."""
    client = MlflowClient(database)
    experiment = client.get_experiment_by_name("unlearning")
    found = client.search_runs([experiment.experiment_id]) if experiment else []
    return {run.info.run_name: run.info.status for run in found if "dmm.version" in run.data.tags}


@pytest.mark.heavy
def test_a_server_killed_and_restarted_in_mid_run_misses_nothing(
    open_tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    database, said = f"sqlite:///{tmp_path}/mlflow.db", []
    with serving(database, tmp_path) as server:
        session = open_tiny(**ONE_SET, tracking={"uri": server.uri})
        progress = run_serially(session)
        view = open_view(
            session.graph, session.store, warn=said.append, patience=MirrorPatience(points=0.05, retry=0.2)
        )
        leave(view, progress, "forget", "train")
        wait_until(lambda: len(shown(database)) == 2)
        server.kill()
        leave(view, progress, "unlearn", "evaluate")
        wait_until(lambda: said)
        server.start()
        wait_until(lambda: len(shown(database)) == 4)
        server.kill()
        leave(view, progress, "report")
        view.end("FINISHED", progress)
        assert said[-1] == LEFT
        assert [text.partition(" ")[2][:8] for text in said[:3]] == ["cannot b", "answers ", "cannot b"]
        server.start()
        later = open_view(session.graph, session.store, warn=pytest.fail)
        run_serially(session, listeners=[later])
        later.end("FINISHED", progress)
    assert later.run_id == view.run_id
    assert shown(database) == dict.fromkeys(
        ["tiny", "1 forget sets", "2 models", "4 some: nothing", "4 some: floor"], "FINISHED"
    )
