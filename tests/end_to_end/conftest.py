"""Finished runs of two tiny competitions, made once and only read; a test that changes one copies it."""

from __future__ import annotations

from dataclasses import dataclass

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


@pytest.fixture(scope="session")
def breaths(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """stage=all of a few breaths, as a user would run it: a process of its own, in its own folder."""
    folder = tmp_path_factory.mktemp("breaths")
    finished = apart(*BREATHS, "executor.workers=2", folder=folder)
    assert finished.code == 0, finished.err
    return Done(BREATHS, finished, Root(folder, "ventilator"))


@pytest.fixture(scope="session")
def shop_words(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Words that choose the retail competition; its files must not be changed."""
    return write_competition(tmp_path_factory.mktemp("shops"))


@pytest.fixture(scope="session")
def shops(shop_words: list[str], tmp_path_factory: pytest.TempPathFactory) -> Done:
    """stage=all of the retail competition, in this process."""
    folder = tmp_path_factory.mktemp("shops_root")
    words = [*shop_words, "executor.name=inline"]
    finished = here(*words, f"root={folder}")
    assert finished.code == 0, finished.err
    return Done(words, finished, Root(folder, "shops"))
