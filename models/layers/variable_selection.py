"""Which input variables matter: TFT's variable selection (Lim et al. 2021), for dozens of columns at once.

Every variable has an embedding and a gated residual network of its own. Run one after another, dozens of
small matrix products cost more in calls than in arithmetic; here variables are a leading dimension, and each
step is one batched product. Rows come last: sums over features then run along whole rows of memory, and all
embeddings of a row stand below each other without a copy. `python -m benchmarks.variable_selection` has the
plain loop, and times the two. V is the number of variables and M the width of each one's embedding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from models.static_state import GatedResidual

#: Values of all variables' embeddings that a processor's cache has room for, some ten times over.
VALUES_AT_ONCE = 2**18

LAYER_NORM_EPS = 1e-5  # as nn.LayerNorm


class VariableEmbedding(nn.Module):
    """Reals (..., R) and codes (..., C) -> (V, M, ...), V = R + C, reals first.

    A real x becomes w x + b with vectors of its own, a code is looked up. Code 0, unknown or missing, starts
    at zero, as in `CategoryEmbedding`.
    """

    offset: Tensor

    def __init__(self, reals: int, sizes: Sequence[int], width: int) -> None:
        super().__init__()
        self.reals = reals
        self.width = width
        if reals:
            self.weight = nn.Parameter(torch.empty(reals, width).uniform_(-1.0, 1.0))
            self.bias = nn.Parameter(torch.empty(reals, width).uniform_(-1.0, 1.0))
        # All tables are one, each from its offset on: one lookup for all columns.
        first = [sum(sizes[:column]) for column in range(len(sizes))]
        self.register_buffer("offset", torch.tensor(first, dtype=torch.int64), persistent=False)
        self.table = nn.Embedding(sum(sizes), width) if sizes else None
        if self.table is not None:
            nn.init.normal_(self.table.weight)
            with torch.no_grad():
                self.table.weight[self.offset] = 0.0

    def forward(
        self,
        real: Tensor,
        code: Tensor,
        reals: Sequence[int] | None = None,
        codes: Sequence[int] | None = None,
    ) -> Tensor:
        """reals, codes: which of the columns to embed, None for all; `real` and `code` hold all of them."""
        parts = []
        chosen = list(range(self.reals) if reals is None else reals)
        if chosen:
            shape = (len(chosen), self.width, *[1] * (real.dim() - 1))
            values = real[..., chosen].movedim(-1, 0).contiguous()[:, None]  # (V, 1, ...)
            weight, bias = self.weight[chosen].view(shape), self.bias[chosen].view(shape)
            parts.append(torch.addcmul(bias, values, weight))
        chosen = list(range(len(self.offset)) if codes is None else codes)
        if chosen:
            assert self.table is not None
            looked_up = self.table((code + self.offset)[..., chosen])  # (..., V, M)
            parts.append(looked_up.movedim((-2, -1), (0, 1)))
        return torch.cat(parts)


class GroupedLinear(nn.Module):
    """V linear maps side by side: (V, inputs, N) -> (V, width, N)."""

    def __init__(self, variables: int, inputs: int, width: int) -> None:
        super().__init__()
        bound = 1.0 / math.sqrt(inputs)  # as nn.Linear
        self.weight = nn.Parameter(torch.empty(variables, width, inputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(variables, width, 1).uniform_(-bound, bound))

    def forward(self, values: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, self.weight, values)


class GroupedGatedResidual(nn.Module):
    """V gated residual networks side by side, (V, M, N) -> (V, M, N): equations in `GatedResidual`."""

    def __init__(self, variables: int, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.first = GroupedLinear(variables, width, width)
        self.second = GroupedLinear(variables, width, width)
        self.gate = GroupedLinear(variables, width, 2 * width)
        self.dropout = nn.Dropout(dropout)
        self.norm_weight = nn.Parameter(torch.ones(variables, width, 1))
        self.norm_bias = nn.Parameter(torch.zeros(variables, width, 1))

    def forward(self, values: Tensor) -> Tensor:
        inner = self.dropout(self.second(nn.functional.elu(self.first(values))))
        mixed = values + nn.functional.glu(self.gate(inner), dim=1)
        centred = mixed - mixed.mean(1, keepdim=True)
        normed = centred * torch.rsqrt(centred.square().mean(1, keepdim=True) + LAYER_NORM_EPS)
        return torch.addcmul(self.norm_bias, normed, self.norm_weight)


class VariableSelection(nn.Module):
    """V embedded variables of a row to one vector, as a sum whose weights say what was looked at.

    v = softmax(GRN_v(Xi, c_s)), Xi all V embeddings in a row, c_s the static context     (equation 6)
    e_j = GRN_j(xi_j), a network for each variable, shared by all rows                      (equation 7)
    output = sum_j v_j P_j e_j                                                              (equation 8)

    In the paper embeddings are as wide as the output and there is no P_j. Where they are narrower
    (M < width), P_j is a learned map of each variable to the output's width: it stands behind the weights, so
    that all V of them are one matrix product, and the rest costs M / width of it.
    """

    def __init__(
        self, variables: int, embedded: int, width: int, context: int = 0, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.variables = variables
        # The only variable has the weight 1, whatever a network would say.
        self.choose = (
            GatedResidual(variables, dropout, variables * embedded, hidden=width, context=context)
            if variables > 1
            else None
        )
        self.transform = GroupedGatedResidual(variables, embedded, dropout)
        self.project = nn.Linear(variables * embedded, width, bias=False) if embedded != width else None

    def forward(
        self, embedded: Tensor, context: Tensor | None = None, shown: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """(V, M, ...) -> (..., width), and the weights (..., V), which sum to 1.

        context: (..., its width), broadcast; shown: bool, broadcast to (..., V), False where a variable is
        blanked and gets no weight; at least one of a row's variables must be shown.
        """
        variables, width, *rows = embedded.shape
        if self.choose is None:
            weight = embedded.new_ones(*rows, 1)
        else:
            score = self.choose(_in_a_row(embedded), context)
            if shown is not None:
                score = score.masked_fill(~shown, -torch.inf)
            weight = score.softmax(dim=-1)  # (..., V)
        transformed: Tensor = self.transform(embedded.view(variables, width, -1))
        weighted = transformed.view(embedded.shape) * weight.movedim(-1, 0)[:, None]
        if self.project is None:
            return weighted.sum(0).movedim(0, -1), weight
        output: Tensor = self.project(_in_a_row(weighted))
        return output, weight


def by_blocks(
    select: Callable[..., tuple[Tensor, Tensor]], embedded: int, real: Tensor, *more: Tensor | None
) -> tuple[Tensor, Tensor]:
    """select(real, *more), on a CPU a few windows at a time: half as fast is what does not fit its cache.

    embedded: V * M; real: (B, rows, .); all tensors and both results have B first.
    """
    windows = max(1, VALUES_AT_ONCE // max(1, embedded * real.shape[1]))
    if real.is_cuda or len(real) <= windows:
        return select(real, *more)
    blocks = [
        real.split(windows),
        *([None] * len(real) if part is None else part.split(windows) for part in more),
    ]
    selected, weight = zip(*(select(*block) for block in zip(*blocks, strict=False)), strict=True)
    return torch.cat(selected), torch.cat(weight)


def _in_a_row(embedded: Tensor) -> Tensor:
    """(V, M, ...) -> (..., V * M)."""
    return embedded.flatten(0, 1).movedim(0, -1)
