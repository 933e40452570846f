"""TFT's interpretable multi-head attention (Lim et al. 2021): heads share the values."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.layers.transformer_encoder import check_heads


class InterpretableAttention(nn.Module):
    """InterpretableMultiHead(Q, K, V) = H W_H, H = {1/heads sum_h A(Q W_Q^h, K W_K^h)} V W_V.

    Lim et al. 2021, equations 13 to 16, with A(Q, K) = softmax(Q K^T / sqrt(width / heads)) (equation 10).
    Since values are shared, the mean of the heads' attention is the attention of the whole: `weights`.
    """

    def __init__(self, width: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        check_heads(width, heads)
        self.heads = heads
        self.dropout = dropout  # of attention weights
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width // heads)
        self.join = nn.Linear(width // heads, width, bias=False)

    def forward(self, asking: Tensor, rows: Tensor, seen: Tensor) -> Tensor:
        """asking (B, Q, width), rows (B, L, width), seen (B, Q, L) bool -> (B, Q, width).

        Every asking row must see at least one row.
        """
        query, key = self._heads(asking, rows)
        value = self.value(rows)[:, None].expand(-1, self.heads, -1, -1)
        # The mean of A V over heads is (the mean of A) V: nothing of the size of A is kept for the gradient.
        mixed = nn.functional.scaled_dot_product_attention(
            query, key, value, attn_mask=seen[:, None], dropout_p=self.dropout if self.training else 0.0
        ).mean(1)
        joined: Tensor = self.join(mixed)
        return joined

    def weights(self, asking: Tensor, rows: Tensor, seen: Tensor) -> Tensor:
        """(B, Q, L), each row sums to 1: what `forward` (in evaluation) weighs the rows with."""
        query, key = self._heads(asking, rows)
        total = torch.zeros(seen.shape, dtype=query.dtype, device=query.device)
        for head in range(self.heads):  # one at a time: (B, heads, Q, L) may be too much at once
            score = query[:, head] @ key[:, head].transpose(1, 2) / query.shape[-1] ** 0.5
            total += score.masked_fill(~seen, -torch.inf).softmax(dim=-1)
        return total / self.heads

    def _heads(self, asking: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Queries (B, heads, Q, width / heads) and keys (B, heads, L, width / heads)."""
        query = self.query(asking).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        key = self.key(rows).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        return query, key
