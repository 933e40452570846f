"""Finished runs of two tiny competitions, made once and only read; a test that changes one copies it.

Once for all processes of a test run (pytest -n): whoever needs one first makes it, the others wait for it.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from tests.end_to_end.command import Finished, Root, apart, here
from tests.end_to_end.shops import write_competition

#: The ventilator, tiny: enough epochs to be killed between two of them.
BREATHS = [
    "competition.reader_settings.train_breaths=60",
    "competition.reader_settings.test_breaths=20",
    "competition.folds.count=2",
    "fit.max_epochs=12",
    "member.lightgbm.rounds=10",
    "member.bilstm.hidden=16",
    "members=[lightgbm,bilstm]",
]


@dataclass(frozen=True)
class Done:
    """A command that has ended well, its words without the root, and what it left."""

    words: list[str]
    finished: Finished
    root: Root


def once(
    factory: pytest.TempPathFactory, name: str, make: Callable[[Path], Finished]
) -> tuple[Finished, Path]:
    """What `make` did in a folder of that name, which all processes of the test run share."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / f"shared_{name}"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        told, work = folder / "finished.json", folder / "work"
        if not told.exists():
            assert not work.exists(), "it failed where it was made first; see there"
            work.mkdir()
            finished = make(work)
            assert finished.code == 0, finished.err
            told.write_text(json.dumps(asdict(finished)))
        return Finished(**json.loads(told.read_text())), work


@pytest.fixture(scope="session")
def breaths(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """stage=all of a few breaths, as a user would run it: a process of its own, in its own folder."""

    def make(folder: Path) -> Finished:
        return apart(*BREATHS, "executor.workers=2", folder=folder)

    finished, folder = once(tmp_path_factory, "breaths", make)
    return Done(BREATHS, finished, Root(folder, "ventilator"))


@pytest.fixture(scope="session")
def shop_words(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Words that choose the retail competition; its files must not be changed."""
    words: list[str] = []

    def make(folder: Path) -> Finished:
        words.extend(write_competition(folder))
        return Finished(0, json.dumps(words), "")

    finished, _ = once(tmp_path_factory, "shop_files", make)
    return list(json.loads(finished.out))


@pytest.fixture(scope="session")
def shops(shop_words: list[str], tmp_path_factory: pytest.TempPathFactory) -> Done:
    """stage=all of the retail competition, in this process."""
    words = [*shop_words, "executor.name=inline"]
    finished, folder = once(tmp_path_factory, "shops", lambda folder: here(*words, f"root={folder}"))
    return Done(words, finished, Root(folder, "shops"))
