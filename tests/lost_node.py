"""A node that is blind, then lost during a task; then the head is lost during another task.

This is a separate process, because the session shared by the tests must stay alive.
"""

import json
import os
import tempfile
import time
from pathlib import Path

# A dead process refuses at once, so Ray notices a lost node within a second or two. A node that is only busy
# may take a minute to answer.
CHECKS = {"initial_delay_ms": "500", "period_ms": "500", "timeout_ms": "60000", "failure_threshold": "2"}
os.environ |= {f"RAY_health_check_{name}": value for name, value in CHECKS.items()}
SMALL = {"object_store_memory": 80 << 20}


def hold(task: str, shared: None, device: str) -> str:
    """Return the task, but wait for ever the first time."""
    if not Path(task).exists():
        Path(task).touch()
        time.sleep(600)
    return task


def look(task: str, blind: str, device: str) -> str:
    """Return the node that this runs on, unless that is the blind one."""
    import ray

    from pipeline.core.errors import StoreUnseenError

    node = ray.get_runtime_context().get_node_id()
    if node == blind:
        raise StoreUnseenError("it does not see the store")
    return node


def main() -> None:
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False, **SMALL})
    spot = {"num_cpus": 1, "resources": {"spot": 1.0}, **SMALL}
    first = nodes.add_node(**spot)
    os.environ["RAY_ADDRESS"] = nodes.address

    from pipeline.core.errors import ExecutionError
    from pipeline.core.resources import Need
    from pipeline.execution.ray import cluster as ray_cluster
    from pipeline.execution.ray.tasks import RayExecutor

    executor, folder, on_spot = RayExecutor(hold, None), tempfile.mkdtemp(), Need(custom=(("spot", 1.0),))

    def begin(name: str) -> None:
        executor.submit(f"{folder}/{name}", on_spot)
        while not Path(f"{folder}/{name}").exists():
            executor.wait(0.1)

    def outcome(executor=executor):
        found = []
        while not found:
            found = executor.wait(0.5)
        return found[0]

    def passed_over():
        looking, needs = RayExecutor(look, first.node_id), [on_spot] + 6 * [Need()]
        for number, need in enumerate(needs):
            looking.submit(str(number), need)
            yield outcome(looking)
        looking.close()

    blind, *others = passed_over()
    begin("task")
    nodes.remove_node(first, allow_graceful=False)
    nodes.add_node(**spot)
    lost = outcome()
    executor.submit(lost.task, on_spot)
    told = {
        "blind": blind.fault,
        "others": [found.result == nodes.head_node.node_id for found in others],
        "fault": lost.fault,
        "again": outcome().error,
    }
    begin("other")
    nodes.head_node.all_processes["gcs_server"][0].process.kill()
    # Not before: while it lives, the head of a busy machine may take as long to answer.
    ray_cluster.GONE_SECONDS = 3.0
    try:
        outcome()
    except ExecutionError as error:
        told |= {"error": str(error)}
    executor.close()
    print(json.dumps(told), flush=True)
    for node in [*nodes.worker_nodes, nodes.head_node]:
        node.kill_all_processes(check_alive=False, allow_graceful=False)
    os._exit(0)


if __name__ == "__main__":
    main()
