"""How far back a member that was fitted to a competition uses its data."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from data.folds import Origins
from data.origins import batches_of
from data.windows import WindowDataset
from models.forecaster import Forecaster
from models.members.base import FitTask, Member
from models.members.devices import choose_device
from models.members.neural import NeuralMember
from models.memory.capacity import MOST_DELAYS
from models.memory.summary import MemoryOfMember, memory_of


def memory_of_fit(
    member: Member, task: FitTask, asked: Origins | None = None, windows: int = 64, **settings: Any
) -> MemoryOfMember | None:
    """Of a member that was fitted to `task`, on windows at `asked`, spread evenly over them, in random order.

    asked: None for the origins that the fold is validated on. None of a member that is not a network of
    ours: boosting and local statistics have rows of features and closed forms instead of a window. settings:
    of `memory_of`, above a memory capacity of as many delays as a window has, up to MOST_DELAYS.
    """
    if not isinstance(member, NeuralMember):
        return None
    asked = task.fold.asked if asked is None else asked
    if not len(asked.row):
        return None
    torch.set_num_threads(task.fit.threads)
    device = choose_device(task.fit.device)
    forecaster = Forecaster.load(task.folder).to(device)
    dataset = WindowDataset(task.inputs, task.windows.scaling, device)
    spread = np.unique(np.linspace(0, len(asked.row) - 1, windows).astype(np.int64))
    spread = np.random.default_rng(0).permutation(spread)  # some are left out where there is much to do
    pairs = Origins(asked.series[spread], asked.row[spread])
    settings = {"capacity": min(dataset.schema.length - 1, MOST_DELAYS), **settings}
    return memory_of(forecaster, [dataset[some] for some in batches_of(pairs, windows)], windows, **settings)
