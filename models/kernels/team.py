"""A job of compiled code in parts, over the threads that torch itself computes with.

Those are awake while a network runs. A thread of Python's own must be woken by the one that has the work,
is often put on that one's core, and stands there until the scheduler looks again, some milliseconds later: as
long as a whole layer takes. So the job goes to the OpenMP runtime that torch has loaded (libgomp's
GOMP_parallel); where that is not to be found, to threads of our own.

A job is a function without a result and a row of int64: the next part, the number of parts, then what the
function wants (addresses of arrays, sizes, strides). Each thread takes the next part until none is left.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numba import types
from numba.extending import intrinsic

from models.kernels.compiled import compiled, entry_point


@intrinsic
def _fetch_and_add(typingctx, job):  # type: ignore[no-untyped-def]
    """job[0]++, whole, whatever other threads do; what it was before."""

    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        (pointer,) = arguments
        return builder.atomic_rmw("add", pointer, pointer.type.pointee(1), "monotonic")

    return types.int64(job), codegen


@compiled
def next_part(job):  # type: ignore[no-untyped-def]
    """Number of the part to do now; -1: none is left."""
    part: int = _fetch_and_add(job)  # type: ignore[call-arg]
    return part if part < job[1] else -1


@compiled
def bounds(count, part, parts):  # type: ignore[no-untyped-def]
    """(first, last) of a part of `count`."""
    return count * part // parts, count * (part + 1) // parts


class Job:
    """A function of a job's numbers that takes parts until none is left; compiled when it first runs."""

    def __init__(self, function: Callable[..., None]) -> None:
        self.function = function
        self.__doc__ = function.__doc__

    @cached_property
    def _address(self) -> int:
        return int(self._entry.address)

    @cached_property
    def _entry(self) -> Any:
        return entry_point(types.void(types.CPointer(types.int64)), self.function)

    def run(self, parts: int, *numbers: int) -> None:
        """All parts; the arrays behind the numbers must live until it returns."""
        job = np.array([0, parts, *numbers], dtype=np.int64)
        if parts == 1:
            self._call(job.ctypes.data)
        elif (together := _openmp()) is not None:
            together(self._address, job.ctypes.data, parts, 0)
        else:
            others = [_pool(parts).submit(self._call, job.ctypes.data) for _ in range(parts - 1)]
            self._call(job.ctypes.data)
            for other in others:
                other.result()

    @cached_property
    def _call(self) -> Callable[[int], None]:
        return ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self._address)


def parts_of(count: int, least: int) -> int:
    """One for each of torch's threads, none with fewer than `least` of `count`."""
    return max(1, min(torch.get_num_threads(), count // least))


@cache
def _openmp() -> Callable[..., Any] | None:
    """GOMP_parallel(function, argument, threads, flags) of the runtime that torch has loaded."""
    home = Path(torch.__file__).parent
    for library in [*home.glob("lib/libgomp*.so*"), *home.parent.glob("torch.libs/libgomp*.so*")]:
        try:
            # RTLD_NOLOAD is no constant of every system's: a second copy of the runtime would be no harm but
            # no help either, so only one that is there already counts.
            found = ctypes.CDLL(str(library), mode=ctypes.DEFAULT_MODE | _ONLY_IF_LOADED).GOMP_parallel
        except (OSError, AttributeError):
            continue
        found.restype = None
        found.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
        return found  # type: ignore[no-any-return]
    return None


#: RTLD_NOLOAD of Linux, the only system for which torch brings libgomp.
_ONLY_IF_LOADED = 4


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="plstm")
