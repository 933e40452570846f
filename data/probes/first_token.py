"""first_token: the first of many symbols is asked at the end."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from data.batch import SequenceBatch
from data.errors import unknown
from data.probes.base import PROBES, last_row
from data.probes.parts import Part
from data.probes.recall import RecallProbe

BETWEEN = ("symbols", "blanks")


@PROBES.register("first_token")
class FirstToken(RecallProbe):
    """Recall of the first token after a lag: a symbol, lag - 1 others of the same alphabet, then a query.

    Nothing but its place tells the first symbol from those behind it, so each of these has to be kept from
    overwriting it (`between=blanks` leaves out that difficulty). Chance is one of the alphabet. No published
    figure that names its source is known to us; LSTMs are said to be at chance at a lag of 64 with 16
    symbols.

        input  m p f a d l d h ?
        target . . . . . . . . m
    """

    @dataclass(frozen=True)
    class Config(RecallProbe.Config):
        """Settings."""

        between: str = "symbols"  # what the rows between hold: symbols, blanks

        def check(self, where: str) -> None:
            super().check(where)
            if self.between not in BETWEEN:
                raise unknown("filling", self.between, BETWEEN, f"{where}.between")

    title = "First token"

    def rows(self, length: int) -> int:
        return length + 1

    def draw(
        self, length: int, count: int, generator: torch.Generator, part: Part = "training"
    ) -> SequenceBatch:
        symbol = torch.randint(self.config.alphabet, (count, length + 1), generator=generator)
        if self.config.between == "blanks":
            symbol[:, 1:] = self.blank
        symbol[:, -1] = self.query
        judged = (torch.arange(length + 1) == length).expand(count, -1)
        return self.windows(symbol[:, :1].expand(count, length + 1), judged, symbol=symbol)

    def oracle(self, batch: SequenceBatch) -> Tensor:
        return self.certain(torch.where(last_row(batch), batch.category[:, :1, 0] - 1, 0))

    @classmethod
    def variants(cls) -> list[Config]:
        return [cls.Config(), cls.Config(between="blanks", alphabet=4)]
