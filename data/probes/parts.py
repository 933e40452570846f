"""Training, validation and test windows of a probe come from generators that cannot coincide."""

from __future__ import annotations

import hashlib
from typing import Literal, get_args

import torch

Part = Literal["training", "validation", "test", "training set"]
PARTS: tuple[Part, ...] = get_args(Part)

#: torch's generator on a CPU is started with the low 32 bits of its seed only.
SEED_BITS = 32


def generator_seed(part: Part, *tags: str | int) -> int:
    """A seed below 2^32 whose two highest bits are the part, and the others a hash of the tags.

    So seeds of different parts are never equal, whatever the tags.
    """
    bits = SEED_BITS - 2
    text = "\n".join((part, *map(str, tags)))
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return PARTS.index(part) << bits | int.from_bytes(digest, "big") % (1 << bits)


def generator(part: Part, *tags: str | int) -> torch.Generator:
    """A CPU generator for `part` of what the tags say; the same tags give the same numbers."""
    return torch.Generator().manual_seed(generator_seed(part, *tags))
