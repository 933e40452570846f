"""What members that are trained by Lightning share: the device, seeds, and silence."""

from __future__ import annotations

import logging
import warnings

import numpy as np
import torch


def choose_device(name: str) -> torch.device:
    """`auto` is the first GPU if there is one, else the CPU."""
    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    return torch.device(name)


def mixed_seed(seed: int, *more: int) -> int:
    """A 31-bit seed from (seed, ...): neighbours give unrelated streams."""
    return int(np.random.SeedSequence([seed, *more]).generate_state(1)[0] >> 1)


class quiet:
    """Lightning's own hints are for people who write trainers; ours see the progress display."""

    def __enter__(self) -> None:
        self._level = logging.getLogger("lightning.pytorch").level
        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
        self._warnings = warnings.catch_warnings()
        self._warnings.__enter__()
        warnings.filterwarnings("ignore", module=r"lightning\..*")

    def __exit__(self, *error: object) -> None:
        self._warnings.__exit__(*error)  # type: ignore[arg-type]
        logging.getLogger("lightning.pytorch").setLevel(self._level)
