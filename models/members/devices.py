"""Which devices a fit has, and how exactly they multiply."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

from data.configure import one_of
from data.errors import InputError
from models.settings import Fit

STRATEGIES = ("auto", "ddp", "none")


def choose_device(name: str) -> torch.device:
    """`auto` is the first GPU if there is one, else the CPU."""
    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    return torch.device(name)


def choose_devices(fit: Fit) -> list[torch.device]:
    """The `fit.devices` devices of one fit, its process's own first.

    Processes on the CPU stand for devices there: `fit.device=cpu fit.devices=2` is two of them. Raises
    InputError for more than there are, and for what says two things at once.
    """
    one_of(fit.strategy, STRATEGIES, "strategy", "fit.strategy")
    device, count = choose_device(fit.device), fit.devices
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError(
            f"fit.device: found {fit.device!r}, but torch sees no GPU here; expected auto or cpu"
        )
    if count == 1:
        return [device]
    if fit.strategy == "none":
        raise InputError(f"fit.strategy: found 'none' beside fit.devices={count}, expected ddp or auto")
    if device.type == "cpu":
        there, what = _cores(), "CPU cores"
    elif device.type == "cuda" and fit.device in ("auto", "cuda"):
        there, what = torch.cuda.device_count(), "GPUs that this process sees"
    else:
        raise InputError(
            f"fit.devices: found {count} beside fit.device={fit.device}, which is one; "
            "expected fit.device=auto, cuda or cpu"
        )
    if count > there:
        raise InputError(f"fit.devices: found {count}, expected at most {there}, the {what}")
    if device.type == "cpu":
        return [device] * count
    return [torch.device("cuda", index) for index in range(count)]


@contextmanager
def denormals_flushed() -> Iterator[None]:
    """Within it this thread counts numbers below 1e-38 as 0, where the CPU can.

    A network that is all but certain sends such gradients back through its rows, and a CPU takes many times
    as long over them: a pLSTM that has learnt to copy takes 4.5 times as long a step without this.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def determinism(fit: Fit, device: torch.device) -> bool | Literal["warn"]:
    """Lightning's `deterministic`. On a GPU some steps have no deterministic kernel (a cumulative sum, say):
    torch warns of them and goes on, where it would end the fit otherwise. Equality to the bit is promised for
    the CPU only."""
    return "warn" if fit.deterministic and device.type == "cuda" else fit.deterministic


def multiply_exactly(device: torch.device, exactly: bool) -> None:
    """Float32 products on a GPU: all 24 bits if `exactly`, else TF32 (10 bits of the fraction, many times
    faster).

    Fits in bf16 let what is left in float32 be TF32; fit.precision=32 and all predictions are float32 indeed.
    """
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = not exactly
        torch.backends.cudnn.allow_tf32 = not exactly


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
