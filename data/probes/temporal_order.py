"""temporal_order: which of two symbols came first, long ago."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from data.batch import SequenceBatch
from data.probes.base import PROBES, Probe, last_row
from data.probes.judged import Chance, Goal, Published
from data.probes.parts import Part

_SOURCE = "Hochreiter and Schmidhuber 1997, Long Short-Term Memory, section 5.6, table 9"

DISTRACTORS = 4
X, START, END = 4, 6, 7  # places in `symbols`; Y is behind X


@PROBES.register("temporal_order")
class TemporalOrder(Probe):
    """Task 6a of Hochreiter and Schmidhuber 1997: X or Y at two rows, two times two classes, noise around.

    E, then a, b, c, d at random but for an X or a Y at t1 and another at t2, then B, the trigger, at which
    the class is asked: XX, XY, YX or YY. A window has T to 1.1 T rows, t1 is 0.1 T to 0.2 T and t2 0.5 T to
    0.6 T: at T = 100 the paper's 100 to 110, 10 to 20 and 50 to 60. Chance is a quarter, ln 4 nats.

        input  E d X a d X d d b  B
        target . . . . . . . . . XX
    """

    title = "Temporal order"
    shortest = 10
    example = 10
    published = (
        Published(
            "lstm of 1997", 100, "accuracy", 1 - 1 / 2560, _SOURCE, 156, "after 31,390 windows; 20 trials"
        ),
    )
    symbols = ("a", "b", "c", "d", "X", "Y", "E", "B")
    class_names = ("XX", "XY", "YX", "YY")

    def rows(self, length: int) -> int:
        return length + length // 10

    def draw(
        self, length: int, count: int, generator: torch.Generator, part: Part = "training"
    ) -> SequenceBatch:
        tenth, rows = length // 10, self.rows(length)

        def up_to_a_tenth(start: int) -> Tensor:
            return start + torch.randint(tenth + 1, (count, 1), generator=generator)

        symbol = torch.randint(DISTRACTORS, (count, rows), generator=generator)
        which = torch.randint(2, (count, 2), generator=generator)
        place = torch.cat([up_to_a_tenth(tenth), up_to_a_tenth(length // 2)], dim=1)
        in_use = up_to_a_tenth(length)
        symbol.scatter_(1, place, X + which)
        symbol[:, 0] = START
        symbol.scatter_(1, in_use - 1, END)
        answer = 2 * which[:, :1] + which[:, 1:]
        judged = torch.arange(rows) == in_use - 1
        return self.windows(answer.expand(count, rows), judged, symbol=symbol, length=in_use[:, 0])

    def chance(self, length: int) -> Chance:
        return Chance(math.log(len(self.class_names)), 1 / len(self.class_names))

    def goal(self, length: int) -> Goal:
        return Goal(accuracy=0.99)

    def oracle(self, batch: SequenceBatch) -> Tensor:
        second = batch.category[..., 0] - 1 - X  # 0 at an X, 1 at a Y, else neither
        relevant = (second == 0) | (second == 1)
        rank = relevant.long().cumsum(1)
        first_of_two = (second * (relevant & (rank == 1))).sum(1)
        second_of_two = (second * (relevant & (rank == 2))).sum(1)
        answer = (2 * first_of_two + second_of_two)[:, None]
        return self.certain(torch.where(last_row(batch), answer, 0))

    def blind(self, batch: SequenceBatch) -> Tensor:
        return torch.zeros(*batch.weight.shape, len(self.class_names))
