"""Freed memory: kept while a member is fitted, given back afterwards."""

from __future__ import annotations

import ctypes
import gc
import resource
import sys
import types
import weakref

import numpy as np
import pytest

from pipeline.allocator import freed_memory_kept, release_memory

pytestmark = pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="not glibc")


def faults_of_a_step(size: int = 25 * 2**20) -> int:
    """Page faults while four arrays of 100 MiB are made, filled and dropped, the second time."""

    def step() -> None:
        held = [np.full(size, 1.0, dtype=np.float32) for _ in range(4)]
        del held

    step()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    step()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_a_step_takes_over_what_the_one_before_left() -> None:
    outside = faults_of_a_step()
    with freed_memory_kept():
        inside = faults_of_a_step()
    release_memory()
    afterwards = faults_of_a_step()
    assert inside < 0.05 * outside
    assert afterwards > 0.5 * outside


class Knot:
    """Refers to itself."""

    def __init__(self) -> None:
        self.itself = self


def test_cycles_of_finished_work_are_freed_and_what_imports_left_is_set_aside_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    release_memory()
    aside = gc.get_freeze_count()
    left = weakref.ref(Knot())
    release_memory()
    assert left() is None
    assert 0 < gc.get_freeze_count() <= aside
    made = [Knot() for _ in range(1000)]
    monkeypatch.setitem(sys.modules, "just_imported", types.ModuleType("just_imported"))
    release_memory()
    assert gc.get_freeze_count() > aside
    del made
