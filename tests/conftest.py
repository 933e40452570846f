"""For all tests: what a test registers is gone when it ends; in CI, the same examples every time."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from pipeline.executor import EXECUTORS, Executor
from pipeline.names import REGISTRIES
from pipeline.perform import THREAD_VARIABLES
from pipeline.store import ArtifactStore
from tests.executors import every_executor

# A change must not fail for an example that its author never saw; at home new ones are tried every time.
settings.register_profile("ci", derandomize=True, deadline=None)
if os.environ.get("CI"):
    settings.load_profile("ci")

# A shell that starts a command in the background has it ignore Ctrl-C, and so would all that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

PLACES = [*REGISTRIES.values(), "pipeline.stage:STAGES", "pipeline.executor:EXECUTORS"]


def _registries() -> list[Any]:
    """Those whose module is imported; the others cannot have been added to."""
    found = []
    for place in PLACES:
        module, _, name = place.partition(":")
        if module in sys.modules:
            found.append(getattr(sys.modules[module], name))
    return found


@pytest.fixture(autouse=True)
def _registries_as_they_were() -> Iterator[None]:
    """Plugins that a test loads register for the whole process; other tests must not see them."""
    modules = set(sys.modules)
    yield
    loaded = {name for name in set(sys.modules) - modules if name.startswith("plugin_")}
    if not loaded:
        return
    for registry in _registries():
        for name, entry in list(registry._entries.items()):
            if getattr(entry, "__module__", "") in loaded:
                del registry._entries[name]
    for name in loaded:
        del sys.modules[name]


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "artifacts")


@pytest.fixture
def thread_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Executors set them in this process; they are afterwards as they were."""
    for name in (*THREAD_VARIABLES, "CUBLAS_WORKSPACE_CONFIG"):
        monkeypatch.setenv(name, "1")


@pytest.fixture(scope="module", params=every_executor())
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    """Every executor in turn, with two places for jobs."""
    with EXECUTORS.get(request.param)(2, 1) as running:
        yield running


@pytest.fixture
def threads() -> Iterator[None]:
    """torch may be told another number of threads; afterwards it has as many as before."""
    import torch  # most tests have no use for it

    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
