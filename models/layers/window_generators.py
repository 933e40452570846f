"""A random stream for each window, which hangs on nothing but the window."""

from __future__ import annotations

import torch

from data.batch import SequenceBatch

#: Odd and without a pattern: neighbouring rows get unrelated seeds (Knuth's multiplicative hashing).
SPREAD = 0x9E3779B97F4A7C15


def window_generators(batch: SequenceBatch, seed: int) -> list[torch.Generator]:
    """One generator a window, on the batch's device, seeded by its first asked row (by its panel row).

    So a window draws the same whatever stands beside it in a batch, and a row that is asked from the same
    origin twice gets the same answer. Windows that ask nothing share one seed.
    """
    nowhere = torch.iinfo(torch.int64).max
    first = torch.where(batch.asked, batch.row_id, nowhere).amin(1).tolist()
    generators = []
    for row in first:
        generator = torch.Generator(device=batch.row_id.device)
        generator.manual_seed((seed + (row + 1) * SPREAD) % 2**63)
        generators.append(generator)
    return generators
