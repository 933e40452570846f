"""Transformer encoder layers over rows, of which some may be padding: for all networks with attention."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from data.errors import InputError
from data.transfer import smallest


class SelfAttention(nn.Module):
    """Multi-head attention of Vaswani et al. 2017, equation 1 and section 3.2.2, rows to rows.

    head_i = softmax(Q_i K_i^T / sqrt(width / heads)) V_i with Q, K, V = X W + b; [head_1, ...] W_o + b_o.
    """

    def __init__(self, width: int, heads: int, dropout: float = 0.0, causal: bool = False) -> None:
        super().__init__()
        self.heads = heads
        self.causal = causal
        self.dropout = dropout  # of attention weights
        self.project = nn.Linear(width, 3 * width)  # queries, keys, values
        self.join = nn.Linear(width, width)
        # As three maps of their own: Xavier's rule would take the three side by side for a wider one.
        for weight in self.project.weight.data.chunk(3):
            nn.init.xavier_uniform_(weight)
        nn.init.zeros_(self.project.bias)
        nn.init.zeros_(self.join.bias)

    def forward(self, hidden: Tensor, used: Tensor | None = None) -> Tensor:
        """hidden (B, L, width), used (B, L) bool rows that may be looked at (None: all) -> (B, L, width).

        At least one row of each window must be in use, and the first one if `causal`.
        """
        parts = self.project(hidden).unflatten(-1, (3, self.heads, -1))  # (B, L, 3, heads, width / heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        mask = None if used is None else used[:, None, None, :]
        if mask is not None and self.causal:
            rows = hidden.shape[1]
            mask = mask & torch.ones(rows, rows, dtype=torch.bool, device=hidden.device).tril()
        mixed = nn.functional.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=mask,
            dropout_p=self.dropout if self.training else 0.0,
            is_causal=self.causal and mask is None,
        )
        joined: Tensor = self.join(mixed.transpose(1, 2).flatten(2))
        return joined

    def last_row(self, hidden: Tensor) -> Tensor:
        """(B, L, width), all of it in use -> (B, 1, width): what the last row gets, which may look at all."""
        width = hidden.shape[-1]
        weight, bias = self.project.weight, self.project.bias
        query = nn.functional.linear(hidden[:, -1:], weight[:width], bias[:width])
        parts = nn.functional.linear(hidden, weight[width:], bias[width:]).unflatten(-1, (2, self.heads, -1))
        key, value = parts.permute(2, 0, 3, 1, 4)
        query = query.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, heads, 1, width / heads)
        dropout = self.dropout if self.training else 0.0
        mixed = nn.functional.scaled_dot_product_attention(query, key, value, dropout_p=dropout)
        joined: Tensor = self.join(mixed.transpose(1, 2).flatten(2))
        return joined


class EncoderLayer(nn.Module):
    """h = x + attention(LayerNorm(x)); y = h + W_2 gelu(W_1 LayerNorm(h)).

    Norms stand before, not after (Xiong et al. 2020, "On Layer Normalization in the Transformer
    Architecture", figure 1b): such layers train without a warm-up.
    """

    def __init__(
        self, width: int, heads: int, feedforward: int, dropout: float = 0.0, causal: bool = False
    ) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = SelfAttention(width, heads, dropout, causal)
        self.feedforward_norm = nn.LayerNorm(width)
        self.widen = nn.Linear(width, feedforward)
        self.narrow = nn.Linear(feedforward, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor, used: Tensor | None = None) -> Tensor:
        """(B, L, width), (B, L) bool or None -> (B, L, width)."""
        return self._fed_forward(hidden + self.dropout(self.attention(self.attention_norm(hidden), used)))

    def last_row(self, hidden: Tensor) -> Tensor:
        """(B, L, width), all of it in use -> (B, 1, width)."""
        attended = self.attention.last_row(self.attention_norm(hidden))
        return self._fed_forward(hidden[:, -1:] + self.dropout(attended))

    def _fed_forward(self, hidden: Tensor) -> Tensor:
        inner = self.dropout(nn.functional.gelu(self.widen(self.feedforward_norm(hidden))))
        return hidden + self.dropout(self.narrow(inner))


class TransformerEncoder(nn.Module):
    """Layers, and a last LayerNorm, which layers with their norms in front need."""

    def __init__(
        self,
        width: int,
        heads: int,
        layers: int,
        feedforward: int,
        dropout: float = 0.0,
        causal: bool = False,
    ) -> None:
        super().__init__()
        check_heads(width, heads)
        self.layers = nn.ModuleList(
            EncoderLayer(width, heads, feedforward, dropout, causal) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, hidden: Tensor, used: Tensor | None = None) -> Tensor:
        """(B, L, width), (B, L) bool or None -> (B, L, width)."""
        for layer in self.layers:
            hidden = layer(hidden, used)
        normed: Tensor = self.norm(hidden)
        return normed

    def last_row(self, hidden: Tensor) -> Tensor:
        """(B, L, width), all of it in use -> (B, width), with one row of the last layer alone."""
        for layer in self.layers[:-1]:
            hidden = layer(hidden)
        for layer in self.layers[-1:]:
            assert isinstance(layer, EncoderLayer)
            hidden = layer.last_row(hidden)
        normed: Tensor = self.norm(hidden[:, -1])
        return normed


def check_heads(width: int, heads: int) -> None:
    """InputError if `width` cannot be cut into `heads` equal parts; names the numbers that do."""
    if heads > 0 and width % heads == 0:
        return
    divisors = [count for count in range(1, width + 1) if width % count == 0]
    near = sorted(sorted(divisors, key=lambda count: abs(count - heads))[:3])
    shown = ", ".join(str(count) for count in near)
    raise InputError(f"heads: {heads} does not divide the width of {width}; nearest that do: {shown}")


def rows_to_look_at(length: Tensor, rows: int) -> Tensor | None:
    """(B, rows) bool: the first `length` (B,) of them, at least one; None where that is all of them.

    None lets attention run without a mask, which is what its fastest kernels ask for.
    """
    if smallest(length) >= rows:
        return None
    return torch.arange(rows, device=length.device)[None, :] < length.clamp(min=1)[:, None]
