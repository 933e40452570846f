"""selective_copy: symbols at random places among blanks, to be said again in their order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from data.batch import SequenceBatch
from data.errors import InputError
from data.probes.base import PROBES
from data.probes.judged import Published
from data.probes.parts import Part
from data.probes.recall import RecallProbe

_SOURCE = "Gu and Dao 2023, arXiv 2312.00752, section 4.1.1"


@PROBES.register("selective_copy")
class SelectiveCopy(RecallProbe):
    """Selective copying (Gu and Dao 2023): what to keep is told by what it is, not by when it comes.

    `tokens` symbols of an alphabet stand at random places of T rows, blanks elsewhere; then as many queries,
    at which they are asked in their order (T + tokens rows). A model whose dynamics do not hang on the input
    cannot do it: the distance from a symbol to its query varies. Chance is one of the alphabet a token.

        input  m _ _ _ p _ f a ? ? ? ?
        target . . . . . . . . m p f a
    """

    @dataclass(frozen=True)
    class Config(RecallProbe.Config):
        """Settings; the paper has 16 tokens of an alphabet of 16 in 4,096 rows."""

        tokens: int = 16

        def check(self, where: str) -> None:
            super().check(where)
            if self.tokens < 1:
                raise InputError(f"{where}.tokens: found {self.tokens}, expected 1 or more")

    title = "Selective copy"
    lengths = (32, 64, 128)
    example = 8
    example_settings: ClassVar[Mapping[str, Any]] = {"tokens": 4}
    published = (
        Published("S6 (Mamba)", 4096, "accuracy", 0.998, _SOURCE, setting="2 layers, width 64"),
        Published("S4", 4096, "accuracy", 0.183, _SOURCE, setting="2 layers, width 64; time-invariant"),
    )

    def check_length(self, length: int, where: str = "probe.lengths") -> None:
        super().check_length(length, where)
        if length < self.config.tokens:
            raise InputError(
                f"{where}: found {length}, expected {self.config.tokens} or more for: {self.title} of"
                f" {self.config.tokens} tokens"
            )

    def rows(self, length: int) -> int:
        return length + int(self.config.tokens)

    def draw(
        self, length: int, count: int, generator: torch.Generator, part: Part = "training"
    ) -> SequenceBatch:
        tokens, rows = self.config.tokens, self.rows(length)
        token = torch.randint(self.config.alphabet, (count, tokens), generator=generator)
        order = torch.rand(count, length, generator=generator).argsort(1)
        place = order[:, :tokens].sort(1).values
        symbol = torch.full((count, rows), self.blank).scatter_(1, place, token)
        symbol[:, length:] = self.query
        answer = torch.cat([torch.zeros(count, length, dtype=torch.int64), token], dim=1)
        judged = (torch.arange(rows) >= length).expand(count, rows)
        return self.windows(answer, judged, symbol=symbol)

    def oracle(self, batch: SequenceBatch) -> Tensor:
        tokens = self.config.tokens
        symbol = batch.category[..., 0] - 1
        first = (symbol >= self.config.alphabet).long().argsort(dim=1, stable=True)[:, :tokens]
        answer = torch.zeros_like(symbol)
        # A window that someone took tokens from has no answer; blanks are as good as any.
        answer[:, -tokens:] = symbol.gather(1, first).clamp(max=self.config.alphabet - 1)
        return self.certain(answer)

    @classmethod
    def variants(cls) -> list[Config]:
        return [cls.Config(), cls.Config(tokens=2, alphabet=4)]
