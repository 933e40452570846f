"""fit.batch_size=auto: the largest power of two that a device's memory holds, found by trying.

Batches of 8, 16, ... real windows go through one training step of a network that is thrown away, until a
step needs more than the device may give, the next would, or an epoch would have too few steps to learn in. A
fit seeds itself afterwards, so the trial leaves no trace in it; what was found is kept in its folder, so that
a fit that is taken up again, there or on another machine, goes on with the same batches.

What a step needs is measured on a GPU (the allocator's peak, data included). On the CPU it is twice what
autograd keeps for the way back (the gradients of it are as large), and may be a quarter of the memory that
comes to each core, a thread. Both depend on the machine and not on what else runs on it.

Larger batches make fewer steps, and steps with less noise, so the learning rate, which is meant for batches
of 128, grows with the size / 128: for Adam and its kin with the square root (Malladi et al. 2022, "On the
SDEs and Scaling Rules for Adaptive Gradient Algorithms"), for SGD linearly (Goyal et al. 2017, "Accurate,
Large Minibatch SGD"). fit.learning_rate_scaling=none leaves it alone.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from data.configure import one_of
from data.origins import TrainingOrigins
from data.windows import WindowDataset
from models.forecaster import Forecaster
from models.optimisation import EXACT, lightning_precision, make_optimizer
from models.settings import Fit

FILE = "batch_size.json"
SMALLEST = 8
REFERENCE = 128  # the batch size that fit.learning_rate is meant for
FEWEST_STEPS = 32  # an epoch
GPU_SHARE = 0.8  # of its memory: fragments, other libraries and the largest batch need the rest
CPU_SHARE = 0.25
SCALINGS = ("auto", "linear", "sqrt", "none")

#: One training step of so many windows; nothing of it is kept.
Step = Callable[[int], None]


def with_batch_size(
    fit: Fit,
    folder: Path,
    device: torch.device,
    devices: int,
    per_epoch: Callable[[], int],
    make_step: Callable[[], Step],
) -> Fit:
    """`fit` with the batch size, of all `devices` together, and the learning rate that its `auto` stands for.

    per_epoch: windows an epoch. It and make_step are asked only where the folder does not say yet.
    """
    if fit.batch_size != "auto":
        return fit
    file = folder / FILE
    if not file.exists():
        largest = per_epoch() // FEWEST_STEPS // devices
        size = devices * find_size(make_step(), device, memory_allowed(device, fit.threads), largest)
        aside = file.with_name(f".{FILE}.part")
        aside.write_text(json.dumps({"batch_size": size, "learning_rate": scaled_rate(fit, size)}))
        os.replace(aside, file)
    found = json.loads(file.read_text())
    return replace(fit, batch_size=int(found["batch_size"]), learning_rate=float(found["learning_rate"]))


def trial_step(forecaster: Forecaster, windows: WindowDataset, origins: TrainingOrigins) -> Step:
    """A training step of a forecaster that nobody needs afterwards; `origins` repeat where there are few."""
    fit, device = forecaster.fit, windows.device
    assert fit is not None
    optimizer = make_optimizer(forecaster, fit)
    mixed = lightning_precision(fit.precision, device) != EXACT
    forecaster.train()

    def step(size: int) -> None:
        batch = windows[origins.origins(np.arange(size) % len(origins))]
        with torch.autocast(device.type, torch.bfloat16, enabled=mixed):
            loss = forecaster.training_loss(batch)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def scaled_rate(fit: Fit, size: int) -> float:
    """fit.learning_rate for batches of `size` windows."""
    one_of(fit.learning_rate_scaling, SCALINGS, "scaling", "fit.learning_rate_scaling")
    scaling = fit.learning_rate_scaling
    if scaling == "auto":
        scaling = "linear" if fit.optimizer == "sgd" else "sqrt"
    ratio = size / REFERENCE
    return fit.learning_rate * {"linear": ratio, "sqrt": ratio**0.5, "none": 1.0}[scaling]


def find_size(step: Step, device: torch.device, allowed: float, largest: int) -> int:
    """The largest power of two from SMALLEST to `largest` whose step needs at most `allowed` bytes.

    SMALLEST is not refused for its need or for `largest`; where it fails with torch.OutOfMemoryError, that
    is raised.
    """
    size = SMALLEST
    step(size)  # the first call allocates what all sizes need: the optimiser's state, libraries' workspaces
    needed = smaller = bytes_of(step, size, device)
    # Twice the windows need twice what they need beside the weights and the data, which do not grow.
    while 2 * size <= largest and needed + 2.0 * (needed - smaller) <= allowed:
        smaller, needed = needed, _tried(step, 2 * size, device)
        if math.isinf(needed) or needed > allowed:
            break
        size *= 2
    if device.type == "cuda":
        torch.cuda.empty_cache()
    return size


def _tried(step: Step, size: int, device: torch.device) -> float:
    """`bytes_of`; infinite where there is no memory for it."""
    try:
        return bytes_of(step, size, device)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        return math.inf


def bytes_of(step: Step, size: int, device: torch.device) -> float:
    """Peak of the memory that a step of `size` windows needs, bytes."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        step(size)
        return float(torch.cuda.max_memory_allocated(device))
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        step(size)
    return 2.0 * sum(kept.values())


def memory_allowed(device: torch.device, threads: int) -> float:
    """Bytes that a fit may use on `device`."""
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        return GPU_SHARE * torch.cuda.get_per_process_memory_fraction(device) * total
    return CPU_SHARE * _machine_memory() * threads / (os.cpu_count() or 1)


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether torch says that there is no memory left, on whatever device."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)


def _machine_memory() -> float:
    """Bytes that this machine has, or that the container may use."""
    total = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.exists() and (text := limit.read_text().strip()).isdigit():
        return min(total, float(text))
    return total
