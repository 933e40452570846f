"""What is known of small tensors on the CPU says the same as asking the device."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from data.transfer import largest, largest_difference, lessened, on_cpu, part, sent, smallest, with_known

FIRST, SECOND = np.array([5, 2, 9, 4]), np.array([1, 2, 3, 4])


@pytest.mark.parametrize("known", [False, True])
def test_known_or_asked(known: bool) -> None:
    first, second = torch.from_numpy(FIRST.copy()), torch.from_numpy(SECOND.copy())
    if known:
        with_known(first, FIRST)
        with_known(second, SECOND)
    assert (smallest(first), largest(first), largest_difference(first, second)) == (2, 9, 6)
    less = lessened(first, 3, 1)
    assert less.tolist() == [2, 1, 6, 1]
    assert (smallest(less), largest(less)) == (1, 6)
    cut = part(first, 0, 2)
    assert cut.tolist() == [5, 2]
    assert (smallest(cut), largest(cut)) == (2, 5)
    assert on_cpu(cut).tolist() == [5, 2]


def test_the_device_is_not_asked_where_it_is_known() -> None:
    meta = with_known(torch.empty(4, dtype=torch.long, device="meta"), FIRST)  # it has no values at all
    assert (smallest(part(meta, 0, 1)), largest(lessened(meta, 2, 0)), on_cpu(meta).tolist()) == (
        5,
        7,
        [*FIRST],
    )
    with pytest.raises(RuntimeError):
        smallest(torch.empty(4, dtype=torch.long, device="meta"))


def test_pinned_memory_is_for_gpus_alone() -> None:
    tensor = torch.arange(3)
    assert sent(tensor, torch.device("cpu")) is tensor
