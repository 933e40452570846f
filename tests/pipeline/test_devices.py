"""Which worker gets which GPU; no GPU is needed, names of some are given."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from data.errors import InputError
from pipeline import executor as executors
from pipeline.compose import compose
from pipeline.config import Config
from pipeline.devices import gpu_places, gpus_of, limit_memory, share_environment, visible_gpus
from pipeline.executor import available_cores, make_executor
from pipeline.executors import processes
from pipeline.executors.processes import Processes
from pipeline.schedule import run_jobs
from pipeline.stage import Job
from pipeline.store import ArtifactStore

#: A stage that writes the same everywhere and says elsewhere which GPUs it was shown.
PLUGIN = """
import os, time
from pathlib import Path
from pipeline.stage import STAGES, Stage

@STAGES.register("looks_at_gpus")
class LooksAtGpus(Stage):
    "Says which GPUs it sees."
    name = "looks_at_gpus"

    def jobs(self, config, store):
        raise NotImplementedError

    def run(self, job, context):
        (context.folder / "result.txt").write_text("the same everywhere")
        said = Path(job.details["says"]) / job.path
        said.write_text(f"{os.environ.get('CUDA_VISIBLE_DEVICES', 'all')} {os.getpid()}")
        end = time.monotonic() + 30
        while len(list(said.parent.iterdir())) < job.details["at_once"] and time.monotonic() < end:
            time.sleep(0.01)
"""


def looking_jobs(folder: Path, count: int, at_once: int) -> list[Job]:
    """Jobs that wait for each other, so that `at_once` workers are needed; what they see is below `says`."""
    plugin, says = folder / "looks_at_gpus.py", folder / "says"
    plugin.write_text(PLUGIN)
    says.mkdir()
    details = {"plugins": [str(plugin)], "says": str(says), "at_once": at_once}
    return [Job("looks_at_gpus", f"job{number}", {"x": 1}, details=details) for number in range(count)]


def seen_by_worker(folder: Path) -> dict[str, set[str]]:
    """GPUs that each process was shown."""
    seen: dict[str, set[str]] = {}
    for file in (folder / "says").iterdir():
        gpus, process = file.read_text().rsplit(" ", 1)
        seen.setdefault(process, set()).add(gpus)
    return seen


@pytest.mark.parametrize(
    ("environment", "files", "expected"),
    [
        ({}, 0, []),
        ({}, 2, ["0", "1"]),
        ({"CUDA_VISIBLE_DEVICES": "3,5"}, 8, ["3", "5"]),
        ({"CUDA_VISIBLE_DEVICES": ""}, 2, []),
        ({"CUDA_VISIBLE_DEVICES": "1,-1,0"}, 2, ["1"]),
        ({"CUDA_VISIBLE_DEVICES": "GPU-8932f937, MIG-1"}, 2, ["GPU-8932f937", "MIG-1"]),
    ],
)
def test_gpus_that_are_visible(
    environment: dict[str, str], files: int, expected: list[str], tmp_path: Path
) -> None:
    for number in range(files):
        (tmp_path / f"0000:0{number}:00.0").mkdir()
    assert visible_gpus(environment, tmp_path) == expected


@pytest.mark.parametrize(
    ("gpus", "each", "places", "dealt"),
    [
        (["0", "1"], 1.0, 2, ["0", "1", "0", "1"]),
        (["3", "5"], 0.5, 4, ["3", "3", "5", "5", "3"]),
        (["0"], 0.3, 3, ["0", "0", "0", "0"]),
        (["0", "1", "2", "3"], 2.0, 2, ["0,1", "2,3", "0,1"]),
        (["0", "1", "2"], 2.0, 1, ["0,1", "0,1"]),
        (["0"], 2.0, 0, ["0", "0"]),
        (["0", "1"], 0.0, 0, ["", ""]),
        ([], 1.0, 0, ["", ""]),
    ],
)
def test_gpus_are_dealt_out_by_place(gpus: list[str], each: float, places: int, dealt: list[str]) -> None:
    assert gpu_places(len(gpus), each) == places
    assert [",".join(gpus_of(place, gpus, each)) for place in range(len(dealt))] == dealt


def with_gpus(monkeypatch: pytest.MonkeyPatch, gpus: list[str]) -> None:
    for module in (executors, processes):
        monkeypatch.setattr(module, "visible_gpus", lambda: gpus)


@pytest.mark.parametrize(
    ("device", "devices", "each", "workers"),
    [
        ("auto", 1, None, 4),
        ("cuda", 1, None, 4),
        ("auto", 2, None, 2),
        ("auto", 1, 0.5, 8),
        ("cuda:1", 1, None, 1),
        ("cpu", 1, None, available_cores()),
        ("auto", 1, 0.0, available_cores()),
    ],
)
def test_default_workers(
    device: str, devices: int, each: float | None, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_gpus(monkeypatch, ["0", "1", "2", "3"])
    config = Config()
    config.fit.device, config.fit.devices, config.executor.gpus = device, devices, each
    assert make_executor(config).workers == workers
    config.executor.workers = 3
    assert make_executor(config).workers == 3


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, {"3", "5"}),
        ({"each": 0.5, "workers": 3}, {"3", "5"}),
        ({"each": 2.0, "workers": 1}, {"3,5"}),
        ({"each": 0.0}, {""}),
        ({"device": "cuda:1"}, {"all"}),
        ({"device": "cpu"}, {"all"}),
    ],
)
def test_each_worker_process_sees_its_own(
    settings: dict[str, Any], expected: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with_gpus(monkeypatch, ["3", "5"])
    config = Config()
    config.executor.workers = settings.get("workers", 2)
    config.executor.gpus, config.fit.device = settings.get("each"), settings.get("device", "auto")
    workers = config.executor.workers
    jobs = looking_jobs(tmp_path, workers + 1, workers)
    store = ArtifactStore(tmp_path / "artifacts")
    with make_executor(config) as executor:
        assert isinstance(executor, Processes)
        run_jobs(jobs, store, executor)
    seen = seen_by_worker(tmp_path)
    assert len(seen) == workers
    assert all(len(gpus) == 1 for gpus in seen.values()), "a worker keeps its GPU"
    assert {gpus for one in seen.values() for gpus in one} == expected
    assert {(store.folder(job.path) / "result.txt").read_text() for job in jobs} == {"the same everywhere"}


def test_key_knows_nothing_of_gpus() -> None:
    first, second = (compose([*words]) for words in ([], ["executor.gpus=0.5", "executor.workers=2"]))
    assert first.fit == second.fit
    assert first.executor != second.executor


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["executor.gpus=1.5"], r"executor.gpus: found 1.5, expected a share of a GPU below 1"),
        (["executor.gpus=-1"], r"executor.gpus: found -1.0, expected .*0"),
        (["executor=proceses"], r"executor.name: unknown executor 'proceses'; did you mean 'processes'\?"),
        (["executor.name=xyz"], r"executor.name: unknown executor 'xyz'; choices: inline, processes, ray"),
        (
            ["executor.address=here:1"],
            r"executor.address: found 'here:1', but executor 'processes' works on this machine only",
        ),
    ],
)
def test_refused(words: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        compose(words)


@pytest.mark.parametrize("word", ["executor=inline", "executor.name=inline", "executor={name: inline}"])
def test_names_an_executor(word: str) -> None:
    assert compose([word, "executor.workers=3"]).executor.name == "inline"


def test_a_share_of_a_gpu_is_a_share_of_its_memory() -> None:
    """Several workers on one GPU: none may take the memory of the others."""
    assert share_environment(None) == share_environment(0.0) == share_environment(1.0) == {}
    environment = share_environment(0.4)  # two such jobs fit on one
    given: list[tuple[float, int]] = []
    cuda = SimpleNamespace(
        is_available=lambda: True,
        device_count=lambda: 2,
        set_per_process_memory_fraction=lambda share, index: given.append((share, index)),
    )
    limit_memory(SimpleNamespace(cuda=cuda), environment)
    assert given == [(0.5, 0), (0.5, 1)]
    limit_memory(SimpleNamespace(cuda=cuda), {})
    assert len(given) == 2
    cuda.is_available = lambda: False
    limit_memory(SimpleNamespace(cuda=cuda), environment)
    assert len(given) == 2


def test_executor_of_a_plugin(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from pipeline.executor import EXECUTORS\n"
        "from pipeline.executors.inline import Inline\n"
        "@EXECUTORS.register('mine')\n"
        "class Mine(Inline):\n"
        "    'My own.'\n"
    )
    config = compose([f"plugins=[{file}]", "executor=mine"])
    assert type(make_executor(config)).__name__ == "Mine"
