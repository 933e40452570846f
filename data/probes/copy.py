"""copy: ten symbols are to be said again after a long blank."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from data.batch import SequenceBatch
from data.configure import one_of
from data.probes.base import CERTAIN, PROBES, Probe
from data.probes.judged import Chance, Goal, Published
from data.probes.parts import Part

COPIED = 10
BLANK, MARK = 0, 9
ALPHABET = 8  # symbols 1, ..., 8

#: A tenth of the chance line, or what the pLSTM paper calls converged; and the latter alone.
GOALS = ("either", "converged")
CONVERGED = 0.999

_BAI = "Bai, Kolter and Koltun 2018, arXiv 1803.01271, on copy memory"
_BAI_TABLE = "Bai, Kolter and Koltun 2018, arXiv 1803.01271, table 1"


@PROBES.register("copy")
class Copy(Probe):
    """Copy memory (Hochreiter and Schmidhuber 1997; Arjovsky et al. 2016; as in Bai et al. 2018).

    Ten symbols of 1, ..., 8, then T - 1 blanks (0) and eleven marks (9): T + 20 rows. Target: blank, and in
    the last ten rows the symbols in their order. Cross-entropy over all rows; the accuracy is that of the
    last ten, since the blanks are right for nothing. Without a memory the blanks are certain and each of the
    ten is one of eight: 10 ln 8 / (T + 20).

    The pLSTM paper (Chien et al. 2021, arXiv 2105.05944) trains at T in hundreds on 10,000 windows
    (`training_size`) and tests on 1,000, with hidden 128, RMSprop 1e-3, batch 128 and clip 1; converged is an
    accuracy of 0.999.

        input  5 8 6 1 4 4 4 8 2 4 0 0 9 9 9 9 9 9 9 9 9 9 9
        target 0 0 0 0 0 0 0 0 0 0 0 0 0 5 8 6 1 4 4 4 8 2 4
    """

    @dataclass(frozen=True)
    class Config(Probe.Config):
        """Settings with their defaults."""

        goal: str = "either"  # a tenth of chance or an accuracy of 0.999; converged: the accuracy alone

        def check(self, where: str) -> None:
            super().check(where)
            one_of(self.goal, GOALS, "goal", f"{where}.goal")

    title = "Copy memory"
    example = 3
    published = (
        Published("lstm", 1000, "error", 0.0204, _BAI_TABLE, 16_000),
        Published("gru", 1000, "error", 0.0197, _BAI_TABLE, 16_000),
        Published("tcn", 1000, "error", 3.5e-5, _BAI_TABLE, 16_000),
        Published("tcn", None, "accuracy", 1.0, _BAI, setting="the last ten, at every T tried"),
        Published("lstm", 50, "accuracy", 0.2, _BAI, setting="falls below this before T = 50"),
        Published("gru", 200, "accuracy", 0.2, _BAI, setting="falls below this before T = 200"),
    )
    symbols = tuple(str(digit) for digit in range(10))
    class_names = symbols

    def rows(self, length: int) -> int:
        return length + 2 * COPIED

    def draw(
        self, length: int, count: int, generator: torch.Generator, part: Part = "training"
    ) -> SequenceBatch:
        symbol = torch.randint(1, ALPHABET + 1, (count, COPIED), generator=generator)
        blank = torch.full((count, length + COPIED), BLANK)
        mark = torch.full((count, COPIED + 1), MARK)
        given = torch.cat([symbol, blank[:, : length - 1], mark], dim=1)
        return self.windows(
            torch.cat([blank, symbol], dim=1),
            torch.ones(count, self.rows(length), dtype=torch.bool),
            symbol=given,
        )

    def chance(self, length: int) -> Chance:
        return Chance(COPIED * math.log(ALPHABET) / self.rows(length), 1 / ALPHABET)

    def goal(self, length: int) -> Goal:
        if self.config.goal == "converged":
            return Goal(accuracy=CONVERGED)
        return Goal(error=self.chance(length).error / 10, accuracy=CONVERGED)

    @classmethod
    def variants(cls) -> list[Config]:
        return [cls.Config(), cls.Config(goal="converged")]

    def recalled(self, batch: SequenceBatch) -> Tensor:
        return (torch.arange(batch.rows, device=batch.weight.device) >= batch.rows - COPIED).expand(
            batch.weight.shape
        )

    def oracle(self, batch: SequenceBatch) -> Tensor:
        answer = torch.full(batch.weight.shape, BLANK)
        answer[:, -COPIED:] = batch.category[:, :COPIED, 0] - 1
        return self.certain(answer)

    def blind(self, batch: SequenceBatch) -> Tensor:
        logits = self.certain(torch.full(batch.weight.shape, BLANK))
        logits[:, -COPIED:] = 0.0
        logits[:, -COPIED:, [BLANK, MARK]] = -CERTAIN
        return logits
