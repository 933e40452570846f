"""fit.batch_size=auto: what is found, what it leaves behind, and who cannot have it."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from data.errors import InputError
from models.members import batch_size
from models.members.batch_size import FILE, find_size, memory_allowed, scaled_rate
from models.members.catalogue import make_member
from models.members.training import training_sampler, windows_an_epoch
from models.settings import Fit, windows_a_batch
from tests.members import FIT, WINDOWS, Killed, fit_task, killer, make_toy

CPU = torch.device("cpu")
SETTINGS = {"hidden": 6, "layers": 1, "static_width": 4, "dropout": 0.2}
MANY = replace(WINDOWS, per_epoch=32 * 32)  # room for batches of 32


class Step:
    """Keeps `each` floats a window and `always` beside them for the way back; fails above `room` windows."""

    def __init__(self, each: int, always: int = 0, room: float = math.inf) -> None:
        self.each, self.always, self.room = each, always, room
        self.sizes: list[int] = []

    def __call__(self, size: int) -> None:
        self.sizes.append(size)
        if size > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        weight = torch.ones(size * self.each + self.always, requires_grad=True)
        weight.square().sum().backward()


@pytest.mark.parametrize(
    ("allowed", "largest", "expected"),
    [
        (2 * 4 * 10 * 64, 10_000, 64),  # twice four bytes each
        (2 * 4 * 10 * 64 - 1, 10_000, 32),
        (math.inf, 100, 64),
        (math.inf, 7, 8),
        (0.0, 100, 8),
    ],
)
def test_the_largest_power_of_two_that_fits(allowed: float, largest: int, expected: int) -> None:
    step = Step(10)
    assert find_size(step, CPU, allowed, largest) == expected
    assert max(step.sizes) <= max(2 * expected, 8)


def test_what_does_not_grow_is_not_doubled() -> None:
    """The step that would not fit is foreseen, and not tried."""
    step = Step(1000, always=100_000)
    allowed = 2.0 * 4 * (1000 * 64 + 100_000)
    assert find_size(step, CPU, allowed, 10_000) == 64
    assert max(step.sizes) == 64


def test_out_of_memory_in_the_trial() -> None:
    assert find_size(Step(1, room=100), CPU, math.inf, 10_000) == 64
    with pytest.raises(torch.OutOfMemoryError):
        find_size(Step(1, room=4), CPU, math.inf, 10_000)

    def broken(size: int) -> None:
        if size > 8:
            raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        find_size(broken, CPU, math.inf, 10_000)


def test_the_learning_rate_follows() -> None:
    fit = Fit(learning_rate=0.1)
    assert scaled_rate(fit, 512) == pytest.approx(0.2)
    assert scaled_rate(replace(fit, optimizer="sgd"), 512) == pytest.approx(0.4)
    assert scaled_rate(replace(fit, learning_rate_scaling="linear"), 64) == pytest.approx(0.05)
    assert scaled_rate(replace(fit, learning_rate_scaling="none"), 512) == 0.1
    assert scaled_rate(fit, batch_size.REFERENCE) == 0.1


@pytest.mark.parametrize("kind", ["sequence", "horizon"])
def test_the_trial_leaves_no_trace(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same weights as with size and rate given; a fit that is taken up again does not look anew."""
    toy = make_toy(kind)
    auto = replace(FIT, batch_size="auto", max_epochs=2, mixup=0.3)
    monkeypatch.setattr(batch_size, "memory_allowed", lambda device, threads: math.inf)

    def fit(name: str, fit: Fit, **changes: Any) -> dict[str, torch.Tensor]:
        task = fit_task(toy, tmp_path / name, fit=fit, windows=MANY, **changes)
        make_member("lstm", SETTINGS).fit(task)
        return load_file(tmp_path / name / "weights.safetensors")

    found = fit("auto", auto)
    said = json.loads((tmp_path / "auto" / FILE).read_text())
    assert said == {"batch_size": 32, "learning_rate": pytest.approx(0.01 * 0.5)}
    given = fit("given", replace(auto, batch_size=32, learning_rate=said["learning_rate"]))
    assert all(torch.equal(found[name], weight) for name, weight in given.items())

    with pytest.raises(Killed):
        fit("killed", auto, progress=killer(lambda share, text: text.startswith("epoch 1/2 loss")))
    monkeypatch.setattr(batch_size, "find_size", lambda *words: pytest.fail("it was found before"))
    again = fit("killed", auto)
    assert all(torch.equal(again[name], weight) for name, weight in given.items())


def test_less_memory_smaller_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By what the network's own steps keep."""
    sizes = []
    for allowed in (1.0, 1e5, 4e5, 1e12):
        monkeypatch.setattr(batch_size, "memory_allowed", lambda device, threads, most=allowed: most)
        folder = tmp_path / f"{allowed:g}"
        task = fit_task(
            make_toy("horizon"), folder, fit=replace(FIT, batch_size="auto", max_epochs=1), windows=MANY
        )
        make_member("lstm", SETTINGS).fit(task)
        sizes.append(json.loads((folder / FILE).read_text())["batch_size"])
    assert sizes[0] == 8
    assert sizes[-1] == 32
    assert sizes == sorted(sizes)


@pytest.mark.parametrize("origins", ["all", "random"])
@pytest.mark.parametrize("kind", ["sequence", "horizon"])
def test_steps_are_of_the_windows_that_an_epoch_has(kind: str, origins: str, tmp_path: Path) -> None:
    """All origins are more than those that are drawn at random, and what is drawn may be set."""
    toy = make_toy(kind)
    for per_epoch in (None, 1000):
        windows = replace(WINDOWS, origins=origins, per_epoch=per_epoch)
        task = fit_task(toy, tmp_path, fit=replace(FIT, batch_size="auto"), windows=windows)
        counted = windows_an_epoch(task, toy.fold.train_end)
        with_number = replace(task, fit=replace(FIT, batch_size=3))
        seen = [len(pairs) for pairs in training_sampler(with_number, toy.fold.train_end)]
        assert sum(seen) <= counted < sum(seen) + 3, "it leaves out what makes no whole batch"


def test_all_origins_have_room_for_larger_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """512 of them are 32 steps of 16; of windows that do not overlap there are a few."""
    monkeypatch.setattr(batch_size, "memory_allowed", lambda device, threads: math.inf)
    toy = make_toy("horizon", series=60)
    task = fit_task(
        toy,
        tmp_path,
        fit=replace(FIT, batch_size="auto", max_epochs=1),
        windows=replace(WINDOWS, origins="all", per_epoch=None),
    )
    assert 32 * 16 <= windows_an_epoch(task, toy.fold.train_end) < 32 * 32
    make_member("lstm", SETTINGS).fit(task)
    assert json.loads((tmp_path / FILE).read_text())["batch_size"] == 16


def test_memory_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A share of the whole, less where the process may have a part of the device only."""
    properties = type("Properties", (), {"total_memory": 100 * 2**30})
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    monkeypatch.setattr(torch.cuda, "get_per_process_memory_fraction", lambda device: 0.5)
    assert memory_allowed(torch.device("cuda:0"), 1) == 0.8 * 50 * 2**30


def test_a_gpu_s_peak_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """1 GiB of data and weights, 10 MiB a window."""
    reset: list[int] = []
    step = Step(0)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: reset.append(1))
    monkeypatch.setattr(
        torch.cuda, "max_memory_allocated", lambda device: 2**30 + 10 * 2**20 * step.sizes[-1]
    )
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    assert find_size(step, torch.device("cuda:0"), 8 * 2**30, 10**6) == 512
    assert len(reset) == len(step.sizes) - 1
    assert max(step.sizes) == 512


def test_memory_of_the_cpu_comes_by_threads() -> None:
    assert np.isclose(memory_allowed(CPU, 2), 2 * memory_allowed(CPU, 1))
    assert memory_allowed(CPU, 1) > 2**20


def test_who_needs_a_number() -> None:
    assert windows_a_batch(Fit(batch_size=3)) == 3
    with pytest.raises(InputError, match=r"fit.batch_size: found 'auto', expected a whole number"):
        windows_a_batch(Fit(batch_size="auto"))
