"""Which GPUs a worker gets: those of its place among the workers, so that no two fight for one.

Told by the environment (CUDA_VISIBLE_DEVICES), before torch is loaded: `fit.device=auto` in a worker then is
the worker's own GPU, settings and keys know nothing of it, and a result does not depend on the place.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

VARIABLE = "CUDA_VISIBLE_DEVICES"
#: The share of a GPU's memory that a worker may have, where several workers share one.
SHARE_VARIABLE = "WORKBENCH_GPU_SHARE"
DRIVER = Path("/proc/driver/nvidia/gpus")


def visible_gpus(environment: Mapping[str, str] | None = None, driver: Path = DRIVER) -> list[str]:
    """Names of the GPUs that this process may use, as CUDA_VISIBLE_DEVICES has them.

    They are counted by the driver's files, since asking torch would load it into this process.
    """
    value = (os.environ if environment is None else environment).get(VARIABLE)
    if value is None:
        return [str(number) for number in range(len(list(driver.glob("*"))))]
    names = [name.strip() for name in value.split(",")]
    usable = names[: names.index("-1")] if "-1" in names else names  # CUDA stops at the first invalid one
    return [name for name in usable if name]


def gpu_places(gpus: int, each: float) -> int:
    """How many jobs that take `each` GPUs (below 1: a share of one) `gpus` have room for at a time."""
    if each <= 0:
        return 0
    return gpus * shares(each) if each < 1 else gpus // math.ceil(each)


def gpus_of(place: int, gpus: Sequence[str], each: float) -> list[str]:
    """The GPUs of the worker at `place` (from 0); places beyond the last GPU begin again at the first."""
    if not gpus or each <= 0:
        return []
    if each < 1:
        return [gpus[place // shares(each) % len(gpus)]]
    count = min(math.ceil(each), len(gpus))
    first = place % max(1, len(gpus) // count) * count
    return list(gpus[first : first + count])


def share_environment(each: float | None) -> dict[str, str]:
    """What tells a worker that each job has `each` GPUs, where that is a share of one."""
    return {SHARE_VARIABLE: str(1 / shares(each))} if each is not None and 0 < each < 1 else {}


def limit_memory(torch: Any, environment: Mapping[str, str] | None = None) -> None:
    """Hold this process to its share of the GPUs' memory: a neighbour must not run out because of it.

    torch: the module, which is not imported here.
    """
    share = (os.environ if environment is None else environment).get(SHARE_VARIABLE)
    if share is not None and torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            torch.cuda.set_per_process_memory_fraction(float(share), index)


def shares(each: float) -> int:
    """Jobs that fit on one GPU if each takes such a share of it."""
    return max(1, math.floor(1 / each + 1e-9))
