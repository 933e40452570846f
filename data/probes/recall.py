"""What probes share that ask for symbols of an alphabet to be said again: names, chance, goal."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from data.batch import SequenceBatch
from data.errors import InputError
from data.probes.base import Probe
from data.probes.judged import Chance, Goal

BLANK, QUERY = "_", "?"


class RecallProbe(Probe):
    """Inputs are the alphabet's symbols, a blank and a query, answers the symbols; all equally likely."""

    @dataclass(frozen=True)
    class Config(Probe.Config):
        """Settings."""

        alphabet: int = 16  # symbols

        def check(self, where: str) -> None:
            super().check(where)
            if not 2 <= self.alphabet <= 26:
                raise InputError(f"{where}.alphabet: found {self.alphabet}, expected 2 to 26")

    def __init__(self, config: Config | None = None) -> None:
        super().__init__(config)
        self.class_names = tuple(chr(ord("a") + number) for number in range(self.config.alphabet))
        self.symbols = (*self.class_names, BLANK, QUERY)

    @property
    def blank(self) -> int:
        """Place of the blank in `symbols`."""
        return int(self.config.alphabet)

    @property
    def query(self) -> int:
        """Place of the query in `symbols`."""
        return int(self.config.alphabet) + 1

    def chance(self, length: int) -> Chance:
        return Chance(math.log(self.config.alphabet), 1 / self.config.alphabet)

    def goal(self, length: int) -> Goal:
        return Goal(accuracy=0.99)

    def blind(self, batch: SequenceBatch) -> Tensor:
        return torch.zeros(*batch.weight.shape, self.config.alphabet)
