"""adding: the sum of two marked numbers anywhere in a long row of numbers."""

from __future__ import annotations

import torch
from torch import Tensor

from data.batch import SequenceBatch
from data.probes.base import PROBES, Probe, last_row
from data.probes.judged import Chance, Goal, Published
from data.probes.parts import Part

_BAI = "Bai, Kolter and Koltun 2018, arXiv 1803.01271, table 1"
_SETTING = "Adam; TCN: 8 levels of 24 channels, kernel 8, learning rate 2e-3"


@PROBES.register("adding")
class Adding(Probe):
    """The adding problem (Hochreiter and Schmidhuber 1997, section 5.4, as in Bai et al. 2018).

    Two channels: u_t ~ U(0, 1), and a mask with ones at two different random rows a and b. Target at the last
    row: u_a + u_b. The best constant is 1, whose error is the variance of the sum of two uniforms, 1/6.

        value  .50 .77 .09 .13 .31 .63 .49  .90
        mask     0   1   0   0   0   0   1    0
        target   .   .   .   .   .   .   . 1.26
    """

    title = "Adding"
    published = (
        Published("lstm", 600, "error", 0.164, _BAI, 70_000, _SETTING),
        Published("gru", 600, "error", 5.3e-5, _BAI, 70_000, _SETTING),
        Published("rnn", 600, "error", 0.177, _BAI, 70_000, _SETTING),
        Published("tcn", 600, "error", 5.8e-5, _BAI, 70_000, _SETTING),
    )
    reals = ("value", "mask")

    def draw(
        self, length: int, count: int, generator: torch.Generator, part: Part = "training"
    ) -> SequenceBatch:
        value = torch.rand(count, length, generator=generator)
        first = torch.randint(length, (count, 1), generator=generator)
        second = torch.randint(length - 1, (count, 1), generator=generator)
        second += second >= first  # any row but the first one
        mask = torch.zeros(count, length).scatter_(1, torch.cat([first, second], 1), 1.0)
        total = (value * mask).sum(1, keepdim=True).expand(count, length)
        judged = (torch.arange(length) == length - 1).expand(count, length)
        return self.windows(total, judged, real=torch.stack([value, mask], dim=-1))

    def chance(self, length: int) -> Chance:
        variance = 2 * (1 / 12)
        # In a share 2 / T of the windows the judged row itself is marked: then one number is known.
        return Chance(variance, present=(1 - 2 / length) * variance + 2 / length * (variance / 2))

    def goal(self, length: int) -> Goal:
        return Goal(error=1e-3)

    def oracle(self, batch: SequenceBatch) -> Tensor:
        total = batch.real.prod(-1).sum(1, keepdim=True)  # (B, 1)
        return torch.where(last_row(batch), total, 0.0)[..., None]

    def blind(self, batch: SequenceBatch) -> Tensor:
        return torch.ones(*batch.weight.shape, 1)
