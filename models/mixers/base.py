"""The base class of everything that mixes information along the rows of a window."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from data.configure import make_settings
from data.errors import InputError
from data.registry import Registry

MIXERS: Registry[type[Mixer]] = Registry("mixer", "models.mixers")


class Mixer(nn.Module, ABC):
    """(B, L, width) -> (B, L, width_out); what stands in padding never reaches a row in use.

    A subclass sets `width_out`, and `causal` where row t of its output depends on rows up to t only; also
    `carries` where it has `carry`, so that a decoder can go on where it ended. One whose last row can be had
    for less than all rows says how in `last_row`.
    """

    @dataclass(frozen=True)
    class Config:
        """Settings with their defaults."""

    width_out: int
    causal: bool = False
    carries: bool = False

    def __init__(self, width: int, config: Any) -> None:
        super().__init__()
        self.width = width
        self.config = config

    @abstractmethod
    def forward(self, hidden: Tensor, length: Tensor, state: Sequence[Tensor] | None = None) -> Tensor:
        """hidden: (B, L, width); length: (B,) rows in use, padding only at the end.

        state: one (B, *shape) tensor for each of `state_shapes()`; None is the zero state.
        """

    def last_row(self, hidden: Tensor, length: Tensor, state: Sequence[Tensor] | None = None) -> Tensor:
        """(B, width_out): row L - 1 of what `forward` gives, of windows without padding."""
        output: Tensor = self(hidden, length, state)
        return output[:, -1]

    def carry(
        self, hidden: Tensor, length: Tensor, state: Sequence[Tensor] | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """What `forward` gives, and the states after each window's last row in use, as `state_shapes()`.

        A window without any row keeps its initial state. From these states the mixer goes on as if the rows
        that follow had stood in the same window.
        """
        raise NotImplementedError(f"{type(self).__name__} has no state to hand over")

    def state_shapes(self) -> list[tuple[int, ...]]:
        """Shape, without B, of each initial state: by layer, then direction, then kind (h, c, ...)."""
        return []

    @classmethod
    def small(cls) -> Any:
        """A Config small enough for tests."""
        return cls.Config()

    @classmethod
    def variants(cls) -> list[Any]:
        """Configs that between them run every branch of the code; the contract tests go over them."""
        return [cls.small()]


def make_mixer(entry: str | Mapping[str, Any], width: int, where: str) -> Mixer:
    """A mixer from its name, or from a mapping of `name` and its settings.

    Raises InputError for an unknown name, setting or type of value.
    """
    given = {"name": entry} if isinstance(entry, str) else dict(entry) if isinstance(entry, Mapping) else {}
    if not isinstance(given.get("name"), str):
        raise InputError(f"{where}: {entry!r} is not the name of a mixer, nor a mapping with a name")
    name = given.pop("name")
    kind = MIXERS.get(name, where)
    return kind(width, make_settings(kind.Config, given, f"{where}.{name}"))


def rows_in_use(hidden: Tensor, length: Tensor) -> Tensor:
    """(B, L, 1) bool: False in padding."""
    return (torch.arange(hidden.shape[1], device=hidden.device)[None, :] < length[:, None])[:, :, None]
