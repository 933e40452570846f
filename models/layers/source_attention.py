"""Attention of a decoder's rows over the rows that its encoder has read."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from data.configure import one_of

SCORES = ("dot", "additive")


class SourceAttention(nn.Module):
    """context_i = sum_j a_ij m_j, a_i = softmax over the seen rows j of score(q_i, m_j).

    dot       q_i W m_j / sqrt(inner)               Luong et al. 2015 ("general"), scaled
    additive  v tanh(W q_i + U m_j + b)             Bahdanau et al. 2015, as in GNMT; needs (B, Q, M, inner)

    A window that sees no row at all gets context 0. Raises InputError for an unknown score.
    """

    def __init__(self, asking: int, memory: int, inner: int, score: str = "dot") -> None:
        """asking, memory: width of q and m."""
        super().__init__()
        self.additive = one_of(score, SCORES, "score", "attention") == "additive"
        self.query = nn.Linear(asking, inner, bias=self.additive)
        self.key = nn.Linear(memory, inner, bias=False)
        self.energy = nn.Linear(inner, 1, bias=False) if self.additive else None

    def keys(self, memory: Tensor) -> Tensor:
        """(B, M, memory) -> (B, M, inner): made once for all that ask."""
        keys: Tensor = self.key(memory)
        return keys

    def forward(self, asking: Tensor, memory: Tensor, keys: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """asking (B, Q, .), memory (B, M, .), its keys, seen (B, M) bool -> context (B, Q, .), a (B, Q, M).

        Rows that are not seen must be finite; they get no weight.
        """
        query = self.query(asking)
        if self.energy is not None:
            score = self.energy(torch.tanh(query[:, :, None] + keys[:, None]))[..., 0]
        else:
            score = query @ keys.transpose(1, 2) / query.shape[-1] ** 0.5
        there = seen[:, None, :]
        # The least number instead of -inf: a window that sees nothing must not become NaN.
        weight = score.float().masked_fill(~there, torch.finfo(torch.float32).min).softmax(-1)
        weight = weight.masked_fill(~there, 0.0).to(memory.dtype)
        return weight @ memory, weight
