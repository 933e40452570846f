"""One layer of pLSTM in one direction, by the kernel that suits the device, the type and what is installed.

reference  the loop as the paper writes it, differentiated by autograd: slow, for tests and reading
torch      plain torch with a backward pass of its own: any device, any type, nothing to install
numba      compiled loops on a CPU, float32
triton     fused kernels on an NVIDIA GPU, float32
auto       numba or triton where they can run, else torch
"""

from __future__ import annotations

import importlib
import logging
from functools import cache

import torch
from torch import Tensor

from data.errors import InputError, unknown
from models.kernels.layer import run_passes
from models.kernels.reference import plstm_reference

KERNELS = ("auto", "reference", "torch", "numba", "triton")

#: Module of each kernel that has a forward and a backward pass.
_MODULES = {"torch": "models.kernels.arrays", "numba": "models.kernels.cpu", "triton": "models.kernels.gpu"}

_log = logging.getLogger(__name__)


def choose_kernel(name: str, device: torch.device, dtype: torch.dtype) -> tuple[str, str]:
    """The kernel that runs and why it is that one. Raises InputError for one that cannot run here."""
    if name not in KERNELS:
        raise unknown("kernel", name, KERNELS, "kernel")
    if name in ("reference", "torch"):
        return name, "asked for"
    if name != "auto":
        obstacle = _obstacle(name, device.type, dtype)
        if obstacle:
            raise InputError(f"kernel={name}: {obstacle}; kernel=auto takes what can run")
        return name, "asked for"
    fast = "triton" if device.type == "cuda" else "numba"
    obstacle = _obstacle(fast, device.type, dtype)
    return ("torch", obstacle) if obstacle else (fast, f"the fast one on {device.type}")


@cache
def _obstacle(name: str, device: str, dtype: torch.dtype) -> str:
    """Why a kernel cannot run; empty if it can."""
    wanted = "cuda" if name == "triton" else "cpu"
    if device != wanted:
        return f"{name} runs on {wanted}, the tensors are on {device}"
    if dtype != torch.float32:
        return f"{name} computes in float32, the tensors are {str(dtype).removeprefix('torch.')}"
    try:
        importlib.import_module(_MODULES[name])
    except (ImportError, OSError) as error:  # OSError: a compiled part of it does not fit this system
        return f"{name} cannot be imported ({error})"
    return ""


@cache
def _say(name: str, reason: str) -> None:
    _log.info("pLSTM runs by kernel %s: %s", name, reason)


@torch.compiler.disable
def plstm(
    inputs: Tensor,
    hidden: Tensor,
    cell: Tensor,
    clock: Tensor,
    weight: Tensor,
    recurrent: Tensor,
    bias: Tensor,
    power: Tensor,
    kernel: str = "auto",
) -> tuple[Tensor, Tensor, Tensor]:
    """(h of every row (B, L, H), c and D after the last one (B, H)); arguments as of `plstm_reference`.

    Differentiable once. Computed in the parameters' type, whatever autocast says: long sums want it.
    """
    name, reason = choose_kernel(kernel, weight.device, weight.dtype)
    _say(name, reason)
    inputs, hidden, cell, clock = (tensor.to(weight.dtype) for tensor in (inputs, hidden, cell, clock))
    arguments = (inputs, hidden, cell, clock, weight, recurrent, bias, power)
    with torch.autocast(weight.device.type, enabled=False):
        if name == "reference":
            return plstm_reference(*arguments)
        output, last_cell, last_clock = run_passes(importlib.import_module(_MODULES[name]), 4, *arguments)
        return output, last_cell, last_clock
