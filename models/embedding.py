"""Inputs to vectors: categories looked up, reals beside them, one linear map to the network's width."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from data.batch import SequenceBatch
from data.schema import InputSchema


def embedding_width(size: int) -> int:
    """Width for a category of `size` codes: min(50, 1.6 size^0.56), fastai's rule."""
    return max(1, min(50, round(1.6 * size**0.56)))


#: Standard deviation of a category's vector at the start. Small: rare ones stay near the centre.
CATEGORY_STD = 0.1


class CategoryEmbedding(nn.Module):
    """(..., C) codes -> (..., width): one table a column, side by side, from N(0, std^2).

    Code 0, unknown or missing, starts at zero, so that a value never met in training stands at the centre.
    """

    def __init__(self, sizes: Sequence[int], std: float = CATEGORY_STD) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(size, embedding_width(size)) for size in sizes)
        self.width = sum(embedding_width(size) for size in sizes)
        for table in self.tables:
            nn.init.normal_(table.weight, std=std)  # type: ignore[arg-type]
            nn.init.zeros_(table.weight[0])  # type: ignore[index]

    def forward(self, code: Tensor) -> Tensor:
        looked_up = [table(code[..., column]) for column, table in enumerate(self.tables)]
        return torch.cat(looked_up, dim=-1)


class Inputs(nn.Module):
    """Reals (B, L, F) and categories (B, L, C) -> (B, L, width): side by side, as they are."""

    def __init__(self, schema: InputSchema, dropout: float = 0.0, category_std: float = CATEGORY_STD) -> None:
        super().__init__()
        sizes = schema.category_size
        self.category = CategoryEmbedding(sizes, category_std) if sizes else None
        self.width = len(schema.real) + (self.category.width if self.category else 0)
        self.dropout = nn.Dropout(dropout)

    def forward(self, batch: SequenceBatch) -> Tensor:
        unused = ~batch.used()[:, :, None]
        inputs = batch.real.masked_fill(unused, 0.0)
        if self.category is not None:
            looked_up = self.category(batch.category.masked_fill(unused, 0))
            inputs = torch.cat([inputs, looked_up], dim=-1)
        dropped: Tensor = self.dropout(inputs)
        return dropped


class InputEmbedding(Inputs):
    """Reals (B, L, F) and categories (B, L, C) -> (B, L, width) by one linear map; without any, its bias."""

    def __init__(
        self, schema: InputSchema, width: int, dropout: float = 0.0, category_std: float = CATEGORY_STD
    ) -> None:
        super().__init__(schema, dropout, category_std)
        self.project = nn.Linear(self.width, width)
        self.width = width

    def forward(self, batch: SequenceBatch) -> Tensor:
        embedded: Tensor = self.project(super().forward(batch))
        return embedded
