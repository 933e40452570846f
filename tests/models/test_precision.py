"""bf16 and torch.compile on the CPU, and what the GPU benchmark prints there."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks import gpu
from models.forecaster import make_forecaster
from models.heads import HEADS
from models.members.catalogue import make_member
from models.members.devices import multiply_exactly
from models.members.epoch_log import LOG
from tests.batches import make_batch, make_schema
from tests.heads import SETTINGS
from tests.members import FIT, fit_task, make_toy

SMALL: dict[str, Any] = {"hidden": 6, "layers": 1, "static_width": 4, "dropout": 0.0}


def losses(
    folder: Path, member: str = "lstm", settings: dict[str, Any] = SMALL, **changes: Any
) -> np.ndarray:
    task = fit_task(make_toy("horizon"), folder, fit=replace(FIT, **changes))
    make_member(member, settings).fit(task)
    return pd.read_csv(folder / LOG)["train_loss"].to_numpy()


def test_bf16_stays_close(tmp_path: Path) -> None:
    exact = losses(tmp_path / "32", precision="32")
    mixed = losses(tmp_path / "bf16", precision="bf16")
    assert (exact != mixed).any()
    np.testing.assert_allclose(mixed, exact, rtol=0.05)


@pytest.mark.parametrize("head", HEADS.names())
def test_heads_and_losses_count_in_32_bits(head: str) -> None:
    schema = make_schema(quantile=(0.1, 0.5, 0.9))
    forecaster = make_forecaster("lstm", SMALL, schema, FIT, head, head_settings=SETTINGS.get(head))
    batch = make_batch(schema)
    assert batch.target is not None
    if HEADS.get(head).transforms:
        batch = batch._replace(target=batch.target.abs().round())
    with torch.autocast("cpu", torch.bfloat16):
        assert forecaster.network(batch).dtype == torch.bfloat16
        assert forecaster(batch).dtype == torch.float32
        loss = forecaster.training_loss(batch)
    assert loss.dtype == torch.float32
    loss.backward()
    gradients = [one.grad for one in forecaster.parameters() if one.grad is not None]
    assert all(one.dtype == torch.float32 and one.isfinite().all() for one in gradients)


def test_tf32_is_switched_both_ways() -> None:
    """A process does one fit after another, of either precision."""
    switches = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [switch.allow_tf32 for switch in switches]
    try:
        for exactly in (True, False, True):
            multiply_exactly(torch.device("cuda:0"), exactly)
            assert [switch.allow_tf32 for switch in switches] == [not exactly] * 2
    finally:
        for switch, value in zip(switches, before, strict=True):
            switch.allow_tf32 = value


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on the CPU")
def test_compiled_fits_are_the_same_and_compile_once(tmp_path: Path) -> None:
    """Batches of an odd size at the end of an epoch do not compile again each time."""
    torch._dynamo.reset()
    settings = {"hidden": 4}
    plain = losses(tmp_path / "plain", "tcn", settings, max_epochs=3)
    torch._dynamo.utils.counters.clear()
    compiled = losses(tmp_path / "compiled", "tcn", settings, max_epochs=3, compile=True)
    np.testing.assert_allclose(compiled, plain, rtol=1e-3)
    assert 0 < torch._dynamo.utils.counters["stats"]["unique_graphs"] <= 4
    torch._dynamo.reset()


def test_the_benchmark_without_a_gpu(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main([]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    task = fit_task(make_toy("sequence"), tmp_path, fit=replace(FIT, max_epochs=2, batch_size=2))
    found = gpu.measure(task, "lstm", SMALL, torch.device("cpu"))
    assert found["epoch_seconds"] > 0
    assert found["windows_a_second"] > 0
    assert found["gpu_use_percent"] is None
    assert gpu.row_of(found).split()[:4] == ["lstm", "2", found["precision"], "no"]
