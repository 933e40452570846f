"""A training step asks the device for nothing: whoever waits for an answer leaves a GPU idle meanwhile."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from data.transfer import with_known
from data.windows import WindowDataset
from models.forecaster import Forecaster, make_forecaster
from models.heads import HEADS
from models.losses import LOSSES
from models.members.training import training_sampler
from models.network import NETWORKS
from models.optimisation import make_optimizer
from models.settings import Fit
from tests.batches import make_batch, make_schema
from tests.heads import SETTINGS
from tests.members import fit_task, make_toy

ROOT = Path(__file__).parents[2]
LEVELS = (0.1, 0.5, 0.9)
EVERYTHING = Fit(mixup=0.3, mask_covariates=0.3, auxiliary_differences=2, clip=1.0)

#: Operations that give the CPU a number, or a tensor whose shape hangs on numbers on the device.
ANSWERS = {
    "_local_scalar_dense",
    "item",
    "is_nonzero",
    "equal",
    "nonzero",
    "masked_select",
    "unique_dim",
    "_unique2",
    "unique_consecutive",
    "bincount",
    "repeat_interleave",
}

#: Files that ask the device once a step, since what they do next hangs on the data; and those where torch
#: does, or we do, on the CPU only (one_hot checks its labels there).
STILL_WAIT = {
    "models/networks/patch_transformer.py",
    "models/networks/seq2seq_attention.py",
    "models/networks/deepar.py",
    "models/heads/location_scale.py",
    "models/heads/classes.py",
    "models/last_row.py",
}


class Waits(TorchDispatchMode):
    """Notes what would wait for a GPU: answers, and choices by a mask."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), keywords: Any = None) -> Any:
        name = function.overloadpacket.__name__
        masks = name in ("index", "index_put", "index_put_", "_index_put_impl_") and any(
            index is not None and index.dtype == torch.bool for index in arguments[1]
        )
        if name in ANSWERS or masks:
            ours = [frame for frame in traceback.extract_stack() if frame.filename.startswith(str(ROOT))]
            own = [
                f
                for f in ours
                if not any(part in f.filename for part in ("site-packages", "tests", "transfer.py"))
            ]
            where = f"{Path(own[-1].filename).relative_to(ROOT)}:{own[-1].lineno}" if own else "torch"
            self.found.append(f"{name} at {where}")
        return function(*arguments, **(keywords or {}))


def step(forecaster: Forecaster, batch: Any) -> list[str]:
    """What one training step would wait for, after one that makes what is made once."""
    assert forecaster.fit is not None
    optimizer = make_optimizer(forecaster, forecaster.fit)
    forecaster.log = lambda *words, **more: None  # type: ignore[method-assign, assignment]
    waits = Waits()
    for watch in (False, True):
        if watch:
            waits.__enter__()
        try:
            loss = forecaster.training_step(batch, 0)
            loss.backward()
            forecaster.configure_gradient_clipping(optimizer)
            optimizer.step()
            optimizer.zero_grad()
        finally:
            if watch:
                waits.__exit__(None, None, None)
    return sorted({one for one in waits.found if one.split(" at ")[1].split(":")[0] not in STILL_WAIT})


def test_waits_are_noticed() -> None:
    with Waits() as waits:
        value = torch.rand(3)
        float(value.sum())
        value[value > 0.5]
        value.nonzero()
    assert [one.partition(" ")[0] for one in waits.found] == ["_local_scalar_dense", "index", "nonzero"]


@pytest.mark.parametrize("head", HEADS.names())
def test_heads_and_their_losses_ask_nothing(head: str) -> None:
    schema = make_schema(targets=2, quantile=LEVELS)
    fit = EVERYTHING if HEADS.get(head).mixable else Fit(mask_covariates=0.3, auxiliary_differences=2)
    batch = make_batch(schema)
    if HEADS.get(head).transforms:
        batch = batch._replace(target=batch.target.abs().round())  # type: ignore[union-attr]
    settings = {"hidden": 6, "layers": 1}
    forecaster = make_forecaster(
        "lstm", settings, schema, fit, head, head_settings=SETTINGS.get(head), auxiliary=2
    )
    assert step(forecaster, batch) == []


@pytest.mark.parametrize("loss", [name for name, kind in LOSSES.items() if kind.points])
@pytest.mark.parametrize("transform", ["none", "log1p"])
def test_losses_ask_nothing(loss: str, transform: str) -> None:
    schema = make_schema(targets=2, target_transform=transform)
    forecaster = make_forecaster(
        "lstm", {"hidden": 6, "layers": 1}, schema, EVERYTHING, "point", loss, auxiliary=2
    )
    assert step(forecaster, make_batch(schema)) == []


@pytest.mark.parametrize("name", NETWORKS.names())
def test_networks_ask_nothing(name: str) -> None:
    kind = NETWORKS.get(name)
    schema = make_schema("horizon" if "horizon" in kind.tasks else "sequence")
    forecaster = make_forecaster(name, vars(kind.small()), schema, Fit())
    batch = make_batch(schema)
    batch = batch._replace(  # as the loader gives it
        length=with_known(batch.length, batch.length.numpy()),
        origin=with_known(batch.origin, batch.origin.numpy()),
    )
    assert step(forecaster, batch) == []


@pytest.mark.parametrize("kind", ["sequence", "horizon"])
def test_the_loader_asks_nothing(kind: str, tmp_path: Path) -> None:
    """It hands numbers to the device, once a batch (`data.transfer.sent`), and gets none back."""
    task = fit_task(make_toy(kind), tmp_path)
    windows = WindowDataset(task.inputs, task.windows.scaling).with_unjudged(0.5).until(task.fold.train_end)
    pairs = next(iter(training_sampler(task, task.fold.train_end)))
    with Waits() as waits:
        windows[pairs]
    assert waits.found == []
