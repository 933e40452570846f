"""Two nodes, of which one is killed in the middle of a fit: nothing finished is lost, the rest is completed.

Fits of boosting and of a small network end bit for bit as in one process without any executor's help.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.command import Process, Root, here
from tests.end_to_end.conftest import BREATHS

EPOCHS = 150  # seconds, so that a fit is still running when its node has been killed
WORDS = [*BREATHS, "stage=train", "fit.seeds=2", f"fit.max_epochs={EPOCHS}"]
EQUAL = (".parquet", ".npy", ".npz", ".safetensors", ".txt")

#: So that a lost node is missed within seconds.
IMPATIENT = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 500,
    "health_check_failure_threshold": 3,
}


@pytest.fixture
def nodes() -> Iterator[tuple[Any, Any]]:
    """A head and a second node, one core each, all in this machine."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_DEDUP_LOGS_SKIP_REGEX"] = "."
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    quiet = {"include_dashboard": False, "num_cpus": 1, "object_store_memory": 80 * 2**20}
    made = Cluster(initialize_head=True, head_node_args={**quiet, "_system_config": IMPATIENT})
    second = made.add_node(num_cpus=1, object_store_memory=80 * 2**20)
    made.wait_for_nodes()
    yield made, second
    made.shutdown()


def raylet_of(node: Any) -> int:
    [raylet] = node.all_processes["raylet"]
    return int(raylet.process.pid)


def parents(process: int) -> Iterator[int]:
    """The process and those that it descends from."""
    while process > 1:
        yield process
        try:
            text = Path(f"/proc/{process}/stat").read_text()
        except FileNotFoundError:
            return
        process = int(text.rpartition(")")[2].split()[1])


def epochs(folder: Path) -> list[dict[str, str]]:
    """The rows of a fit's log: loss and seconds of each epoch."""
    with (folder / "log.csv").open(newline="") as stream:
        return [*csv.DictReader(stream)]


def fits_on(root: Root, raylet: int) -> dict[str, list[dict[str, str]]]:
    """Fits in a worker of that node of which two epochs or more are done, with their checkpoints' epochs."""
    found = {}
    for log in (root.artifacts / ".work" / "train").rglob("log.csv"):
        path = log.parent.relative_to(root.artifacts / ".work").as_posix().rpartition("@")[0]
        lock = root.artifacts / ".locks" / f"{path}.lock"
        if not (log.parent / "last.ckpt").exists() or not lock.exists() or not lock.read_text().strip():
            continue
        rows = epochs(log.parent)[:-1]  # of the last one the checkpoint may not be written yet
        if len(rows) >= 2 and raylet in parents(int(lock.read_text().split()[0])):
            found[path] = rows
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds a worker's node through /proc")
@pytest.mark.slow
def test_killed_node_costs_nothing_that_was_finished(nodes: tuple[Any, Any], tmp_path: Path) -> None:
    cluster, second = nodes
    reference = Root(tmp_path / "inline", "ventilator")
    finished = here(*WORDS, "executor=inline", f"root={reference.folder}")
    assert finished.code == 0, finished.err

    root = Root(tmp_path / "ray", "ventilator")
    address = f"executor.address={cluster.address}"
    command = Process(*WORDS, "executor=ray", address, "executor.workers=2", f"root={root.folder}")
    lost: dict[str, list[dict[str, str]]] = {}

    def in_the_middle() -> bool:
        fits = root.keys()
        if "train/demo/bilstm/seed0/fold0" in fits or "train/demo/bilstm/seed0/fold1" in fits:
            there = fits_on(root, raylet_of(second))
            lost.update({path: rows for path, rows in there.items() if len(rows) < EPOCHS // 2})
        return bool(lost)

    assert command.wait_for(in_the_middle), command.end().err
    before = {path: time for path, time in root.times().items() if path.startswith("train/")}
    cluster.remove_node(second, allow_graceful=False)
    ended = command.end()
    assert ended.code == 0, ended.err
    assert "was lost; it goes on in a fresh one" in ended.err
    for path, rows in lost.items():
        assert epochs(root.artifacts / path)[: len(rows)] == rows, "made again from the beginning"
    after = root.times()
    assert before
    assert all(after[path] == time for path, time in before.items()), "something finished was made again"
    assert root.keys() == reference.keys()
    found, expected = root.contents(*EQUAL), reference.contents(*EQUAL)
    assert set(found) == set(expected)
    assert [path for path in expected if found[path] != expected[path]] == []
    assert any(path.endswith(".safetensors") for path in expected)
    assert root.half_made() == []
