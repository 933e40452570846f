"""agreement: the verb's number is that of a subject far back, with nouns of the other number between."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from data.batch import SequenceBatch
from data.probes.base import PROBES, Probe, last_row
from data.probes.grammar import NOUNS, SHORTEST, WORDS, draw_clauses
from data.probes.judged import Chance, Goal
from data.probes.parts import Part


@PROBES.register("agreement")
class Agreement(Probe):
    """Number agreement across a relative clause (after Elman 1991; Linzen, Dupoux and Goldberg 2016).

    "The cat(s), which already ate ..., was/were full": a subject, singular or plural, then a clause of
    `data.probes.grammar`, then the verb's form is asked at the closing comma. The length is the distance from
    subject to verb in words. Nouns in the clause are singular or plural by a fair coin, so about half are of
    the other number, and neither they nor anything else in the clause tells the subject's. Chance is a half.
    The grammar is our own, so no published figure is of it.

        input  The bird , which slept but chased a young mouse   ,
        target   .    . .     .     .   .      . .     .     . was
    """

    title = "Agreement"
    shortest = SHORTEST + 1
    example = 10
    symbols = WORDS
    class_names = ("was", "were")

    def rows(self, length: int) -> int:
        return length + 1

    def draw(
        self, length: int, count: int, generator: torch.Generator, part: Part = "training"
    ) -> SequenceBatch:
        number = torch.randint(2, (count,), generator=generator)
        noun = torch.randint(len(NOUNS), (count,), generator=generator)
        subject = SUBJECTS[noun, number]
        start = torch.stack([torch.full((count,), WORDS.index("The")), subject], dim=1)
        clause = draw_clauses(length - 1, count, generator)
        judged = (torch.arange(length + 1) == length).expand(count, -1)
        answer = number[:, None].expand(count, length + 1)
        return self.windows(answer, judged, symbol=torch.cat([start, clause], dim=1))

    def chance(self, length: int) -> Chance:
        return Chance(math.log(2), 0.5)

    def goal(self, length: int) -> Goal:
        return Goal(accuracy=0.99)

    def oracle(self, batch: SequenceBatch) -> Tensor:
        subject = batch.category[:, 1:2, 0] - 1  # (B, 1)
        plural = (subject[..., None] == SUBJECTS[:, 1]).any(-1).long()
        return self.certain(torch.where(last_row(batch), plural, 0))

    def blind(self, batch: SequenceBatch) -> Tensor:
        return torch.zeros(*batch.weight.shape, 2)

    def distractors(self, batch: SequenceBatch) -> Tensor:
        """(B, L) int64: 1 at plural nouns of the clause, -1 at singular ones, 0 elsewhere."""
        word = (batch.category - 1) * batch.used()[..., None]  # (B, L, 1)
        sign = (word == SUBJECTS[:, 1]).any(-1).long() - (word == SUBJECTS[:, 0]).any(-1).long()
        sign[:, :2] = 0
        return sign


SUBJECTS = torch.tensor([[WORDS.index(word) for word in noun] for noun in NOUNS])  # (nouns, 2)
