"""One fit by several processes: the same fit as one process's, and no hang whatever dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from data.errors import InputError, OutOfTime
from data.registry import load_plugins
from data.settings import Windows
from models.auxiliary import difference_loss
from models.forecaster import TrainingDiverged
from models.losses import L1
from models.members import ranks
from models.members.catalogue import make_member
from models.members.checkpoints import CHECKPOINT
from models.members.devices import choose_devices, determinism
from models.members.epoch_log import LOG
from models.members.ranks import RankFailed
from models.network import NETWORKS
from models.settings import Fit
from models.share import Share
from tests.batches import make_batch, make_schema
from tests.members import FIT, Killed, fit_task, killer, make_toy

ROOT = Path(__file__).parents[2]
needs_two_cores = pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="two processes need two CPU cores")
SETTINGS: dict[str, Any] = {"hidden": 6, "layers": 1, "static_width": 4, "dropout": 0.0}
ODD = Windows(
    per_epoch=15, origins="all", stride=1
)  # the last batch of an epoch has no even number of windows
TWO: dict[str, Any] = {"devices": 2, "strategy": "ddp"}


def fit(folder: Path, toy: str = "horizon", settings: dict[str, Any] = SETTINGS, **changes: Any) -> Path:
    options = {key: changes.pop(key) for key in ("progress", "deadline", "windows") if key in changes}
    task = fit_task(make_toy(toy), folder, fit=replace(FIT, **changes), **options)
    make_member("lstm", settings).fit(task)
    return folder


def compare(first: Path, second: Path, tolerance: float) -> None:
    """The logged losses and the weights."""
    logs = [pd.read_csv(folder / LOG).drop(columns="seconds") for folder in (first, second)]
    np.testing.assert_allclose(logs[0], logs[1], rtol=tolerance, atol=tolerance)
    weights = [load_file(folder / "weights.safetensors") for folder in (first, second)]
    assert list(weights[0]) == list(weights[1])
    for name, weight in weights[0].items():
        torch.testing.assert_close(weights[1][name], weight, rtol=tolerance, atol=tolerance)


@needs_two_cores
@pytest.mark.parametrize(
    "changes",
    [
        # Odd batches, unequal weights, mixed and blanked windows, differences, plateau on an inner slice.
        {
            "batch_size": 7,
            "mixup": 0.4,
            "mask_covariates": 0.3,
            "auxiliary_differences": 2,
            "unjudged_weight": 0.3,
            "schedule": "plateau",
            "patience": 1,
            "averaging": "ema",
        },
        # Batches of one window: the second process has none of its own.
        {"batch_size": 1, "max_epochs": 1, "averaging": "swa", "optimizer": "sgd"},
    ],
    ids=["everything", "one window"],
)
def test_two_processes_are_one(changes: dict[str, Any], tmp_path: Path) -> None:
    one = fit(tmp_path / "one", windows=ODD, **changes)
    two = fit(tmp_path / "two", windows=ODD, **changes, **TWO)
    compare(one, two, 1e-5)
    assert not (two / CHECKPOINT).exists()
    assert not torch.distributed.is_initialized()


@needs_two_cores
@pytest.mark.slow
def test_same_seed_same_fit_when_killed_in_between(tmp_path: Path) -> None:
    settings = {**SETTINGS, "dropout": 0.4}
    early: dict[str, Any] = {"mixup": 0.3, "early_stopping": True, "max_epochs": 4, **TWO}
    whole = fit(tmp_path / "whole", "sequence", settings, **early)
    killed = killer(lambda share, text: text.startswith("epoch 2/4 loss"))
    with pytest.raises(Killed):
        fit(tmp_path / "killed", "sequence", settings, progress=killed, **early)
    assert (tmp_path / "killed" / CHECKPOINT).exists()
    fit(tmp_path / "killed", "sequence", settings, **early)
    compare(whole, tmp_path / "killed", 0.0)


class Watched:
    """The processes of rank 1 that were started, and a progress callback that does something in epoch 2."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, act: Callable[[int], None]) -> None:
        self.pids: list[int] = []
        self._act, self._done = act, False
        begin = ranks._Process.__init__

        def note(process: ranks._Process, number: int) -> None:
            begin(process, number)
            self.pids.append(process.process.pid)

        monkeypatch.setattr(ranks._Process, "__init__", note)

    def progress(self, share: float, text: str) -> None:
        if text.startswith("epoch 2") and not self._done:
            self._done = True
            self._act(self.pids[-1])

    def gone(self) -> bool:
        return all(not Path(f"/proc/{pid}").exists() for pid in self.pids)


@needs_two_cores
@pytest.mark.slow
def test_a_killed_rank_ends_the_fit_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[float] = []

    def kill(pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        killed.append(time.monotonic())

    watched = Watched(monkeypatch, kill)
    with pytest.raises(RankFailed, match="rank 1 of the fit was killed by signal 9"):
        fit(tmp_path, progress=watched.progress, max_epochs=50, **TWO)
    assert time.monotonic() - killed[0] < 20
    assert watched.gone()
    assert not torch.distributed.is_initialized()
    fit(tmp_path, max_epochs=3, **TWO)  # goes on after the first epoch
    assert len(pd.read_csv(tmp_path / LOG)) == 3


@needs_two_cores
@pytest.mark.slow
def test_a_silent_rank_ends_the_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "STEP_TIMEOUT", ranks.timedelta(seconds=2))
    monkeypatch.setattr(ranks, "DEATH_SECONDS", 0.5)
    watched = Watched(monkeypatch, lambda pid: os.kill(pid, signal.SIGSTOP))
    with pytest.raises(RuntimeError, match=r"(?i)timed? ?out"):
        fit(tmp_path, progress=watched.progress, max_epochs=50, **TWO)
    assert watched.gone()


@needs_two_cores
@pytest.mark.slow
def test_the_deadline_ends_all_ranks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch, lambda pid: None)
    with pytest.raises(OutOfTime, match="in epoch"):
        fit(tmp_path, deadline=time.monotonic() + 8, max_epochs=100_000, **TWO)
    assert watched.gone()


FRAGILE = """
import torch
from torch import distributed
from models.network import NETWORKS
from models.networks.recurrent import LSTMNetwork

@NETWORKS.register("fragile_lstm")
class Fragile(LSTMNetwork):
    def forward(self, batch):
        if distributed.get_rank() == 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return super().forward(batch)
"""


@needs_two_cores
def test_what_another_rank_raises_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a plugin's network, which the other process has to be told of."""
    file = tmp_path / "fragile.py"
    file.write_text(FRAGILE)
    modules = {*sys.modules}
    monkeypatch.setattr(NETWORKS, "_entries", {**NETWORKS._entries})
    load_plugins([file])
    try:
        task = fit_task(make_toy("horizon"), tmp_path / "fit", fit=replace(FIT, **TWO))
        with pytest.raises(torch.OutOfMemoryError, match="Tried to allocate 2 GiB"):
            make_member("fragile_lstm", SETTINGS).fit(task)
    finally:
        for name in {*sys.modules} - modules:
            if name.startswith("plugin_"):
                del sys.modules[name]


@needs_two_cores
@pytest.mark.slow
def test_divergence_keeps_its_name(tmp_path: Path) -> None:
    with pytest.raises(TrainingDiverged, match="lstm: the loss is not finite"):
        fit(tmp_path, optimizer="sgd", learning_rate=1e30, clip=0.0, max_epochs=5, **TWO)


MAIN = """
import sys
from pathlib import Path
from models.members import ranks
from tests.models.test_ddp import SETTINGS, TWO, fit

begin = ranks._Process.__init__
def note(process, number):
    begin(process, number)
    print(process.process.pid, flush=True)
ranks._Process.__init__ = note
fit(Path(sys.argv[1]), progress=lambda share, text: print(text, flush=True), max_epochs=100_000, **TWO)
"""


@needs_two_cores
@pytest.mark.slow
def test_ranks_die_with_rank_0(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MAIN, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        other = int(process.stdout.readline())
        assert Path(f"/proc/{other}").exists()
        assert process.stdout.readline().startswith("epoch 1")
        process.kill()
    until = time.monotonic() + 20
    while Path(f"/proc/{other}").exists():
        assert time.monotonic() < until, "rank 1 outlives rank 0"
        time.sleep(0.1)


@pytest.mark.parametrize("windows", [1, 2, 3, 7, 8])
@pytest.mark.parametrize("count", [2, 3])
def test_shares_add_up_to_the_whole(windows: int, count: int) -> None:
    """The loss and its gradient, of a batch that has rows without weight, and a whole window of them."""
    batch = make_batch(make_schema(), windows=windows)
    generator = torch.Generator().manual_seed(0)
    weight = batch.weight * torch.randint(0, 4, batch.weight.shape, generator=generator)
    weight[-1] = 0.0 if windows > 1 else weight[-1]
    batch = batch._replace(weight=weight)
    assert batch.target is not None
    output = torch.randn((*batch.target.shape, 3), generator=generator, requires_grad=True)
    loss = L1(make_schema())

    def of(part: Any, value: torch.Tensor, every: torch.Tensor | None) -> torch.Tensor:
        return loss(value, part, every) + 0.5 * difference_loss(value[..., 1:], part, every)

    whole = of(batch, output, None)
    (expected,) = torch.autograd.grad(whole, output)
    total, gradient, seen = torch.zeros(()), torch.zeros_like(output), []
    for rank in range(count):
        part = Share(rank, count).of(batch)
        first = windows * rank // count
        value = output[first : first + len(part.length)]
        one = of(part, value, batch.weight)
        total, gradient = total + one.detach(), gradient + torch.autograd.grad(one, output)[0]
        seen += part.series[part.weight.sum(1) > 0].tolist()
    assert sorted(seen) == sorted(batch.series[weight.sum(1) > 0].tolist())
    torch.testing.assert_close(total, whole.detach())
    torch.testing.assert_close(gradient, expected)


def test_one_process_has_the_whole_batch() -> None:
    batch = make_batch(make_schema())
    assert Share().of(batch) is batch


def test_streams_of_random_numbers() -> None:
    """What changes the batch is drawn alike in all processes, whatever each draws for itself in between."""
    common, own = [], []
    for rank in range(2):
        share = Share(rank, 2)
        share.seed(11, 12 + rank)
        drawn = []
        for _ in range(2):
            with share.common_draws():
                drawn.append(torch.rand(3))
            own.append(torch.rand(1 + rank))
        common.append(torch.cat(drawn))
    torch.manual_seed(11)
    torch.testing.assert_close(common[0], torch.rand(6), rtol=0, atol=0)
    torch.testing.assert_close(common[0], common[1], rtol=0, atol=0)
    assert len(torch.cat(own).unique()) == 6
    alone = Share()
    alone.seed(11, 12)
    with alone.common_draws():
        first = torch.rand(3)
    torch.testing.assert_close(torch.cat([first, torch.rand(3)]), common[0], rtol=0, atol=0)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"devices": 2, "strategy": "none"},
            r"fit.strategy: found 'none' beside fit.devices=2, expected ddp",
        ),
        ({"devices": 2, "strategy": "dpp"}, r"fit.strategy: unknown strategy 'dpp'; did you mean 'ddp'"),
        ({"devices": 9}, r"fit.devices: found 9, expected at most 4, the CPU cores"),
        ({"device": "cuda"}, r"fit.device: found 'cuda', but torch sees no GPU here"),
    ],
)
def test_refused(changes: dict[str, Any], line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.members.devices._cores", lambda: 4)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match=line):
        fit(tmp_path, **changes)
    assert not list(tmp_path.iterdir())


def test_steps_without_a_deterministic_kernel_do_not_end_a_fit_on_a_gpu() -> None:
    cpu, gpu = torch.device("cpu"), torch.device("cuda:0")
    assert determinism(Fit(), cpu) is True
    assert determinism(Fit(), gpu) == "warn"
    assert determinism(Fit(deterministic=False), gpu) is False


def test_gpus_of_a_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_devices(Fit()) == [torch.device("cuda:0")]
    assert choose_devices(Fit(device="cuda:1")) == [torch.device("cuda:1")]
    assert choose_devices(Fit(devices=2)) == [torch.device("cuda:0"), torch.device("cuda:1")]
    with pytest.raises(InputError, match="found 3, expected at most 2, the GPUs that this process sees"):
        choose_devices(Fit(devices=3))
    with pytest.raises(InputError, match=r"found 2 beside fit\.device=cuda:1, which is one"):
        choose_devices(Fit(devices=2, device="cuda:1"))
