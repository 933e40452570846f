"""Derivatives with respect to embedded categories, wherever and in whatever order a network looks them up.

A code is a whole number, so it is the vector that it is looked up as that has a derivative. Networks look
their codes up in different ways: column by column, in one table for all columns, or after moving rows about.
So the network runs twice. First every code carries, in its higher digits, the place in `batch.category` that
it came from; each embedding takes the places off and notes them, and what the network returns is dropped.
Then it runs as it is, and every embedding adds zeros to its result, whose derivative is the one wanted.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

#: The place of a code counts in units of this; no table is as large.
UNIT = 2**32


class LookedUpCodes:
    """The lookups of one batch: `noting` while the tagged batch runs, then `probing` while the true one."""

    def __init__(self, network: nn.Module) -> None:
        self.tables = [module for module in network.modules() if isinstance(module, nn.Embedding)]
        self._places: list[Tensor] = []  # of each lookup: where its codes came from, -1: from elsewhere
        self._probes: list[tuple[nn.Module, Tensor, Tensor]] = []  # table, places, zeros that were added

    @property
    def probes(self) -> list[Tensor]:
        """What was added to each lookup of codes of the batch: what to differentiate by."""
        return [probe for _, _, probe in self._probes]

    @staticmethod
    def tagged(category: Tensor) -> Tensor:
        """Codes (B, L, C) with their places in the higher digits."""
        place = torch.arange(1, category.numel() + 1, device=category.device)
        return category + UNIT * place.view_as(category)

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Embeddings take the places off their codes and note them."""

        def note(table: nn.Module, arguments: Any) -> Any:
            code = arguments[0]
            tagged = code >= UNIT
            self._places.append(torch.where(tagged, code // UNIT - 1, -1))
            return (torch.where(tagged, code % UNIT, code),)

        hooks = [table.register_forward_pre_hook(note) for table in self.tables]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    @contextmanager
    def probing(self) -> Iterator[None]:
        """Embeddings add zeros that have a derivative to what they look up."""
        places = iter(self._places)

        def probe(table: nn.Module, arguments: Any, output: Tensor) -> Tensor:
            place = next(places)
            if not bool((place >= 0).any()):
                return output
            zeros = torch.zeros_like(output, requires_grad=True)
            self._probes.append((table, place, zeros))
            return output + zeros

        hooks = [table.register_forward_hook(probe) for table in self.tables]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def squared(self, gradients: list[Tensor | None], shape: torch.Size) -> Tensor:
        """(B, L, C) of `shape`: squared norm of the derivative with respect to each code's vector.

        A code that is looked up several times in one table (in windows that overlap) is one input: its
        derivatives are added before they are squared.
        """
        of_table: dict[nn.Module, Tensor] = {}
        squared = torch.zeros(shape.numel())
        for (table, place, _), gradient in zip(self._probes, gradients, strict=True):
            if gradient is None:
                continue
            flat, vector = place.flatten(), gradient.flatten(0, -2).double()
            total = of_table.get(table)
            if total is None:
                total = vector.new_zeros(shape.numel(), vector.shape[1])
            of_table[table] = total.index_add(0, flat.clamp(min=0), vector * (flat >= 0)[:, None])
        for total in of_table.values():
            squared = squared.to(total) + total.square().sum(1)
        return squared.view(shape)
