"""pLSTM as the paper writes it (Chien et al. 2021, "Slower is better", arXiv 2105.05944), a loop over rows.

The clock-free form: D_t = t - k_t counts from the last reset, so that no absolute time is needed and a state
can be carried on or be given. sigma is the logistic function, * goes unit by unit:

    r_t = sigma(W_r x_t + U_r h_{t-1} + b_r)                 reset gate
    D_t = eps r_t + (1 - r_t) (D_{t-1} + 1)                  rows since the reset, softly
    f_t = ((D_t + eps) / (D_t + 1))^p                        power-law forget gate, 0 < p < 1 a unit
    c_t = f_t c_{t-1} + i_t tanh(W_c x_t + U_c h_{t-1} + b_c)
    h_t = sigma(W_o x_t + U_o h_{t-1} + b_o) tanh(c_t)

with i_t = 1 - f_t (three gates, the paper's), or i_t = sigma(W_i x_t + U_i h_{t-1} + b_i) (four gates).
"""

from __future__ import annotations

import torch
from torch import Tensor

EPSILON = 1e-3


def plstm_reference(
    inputs: Tensor,
    hidden: Tensor,
    cell: Tensor,
    clock: Tensor,
    weight: Tensor,
    recurrent: Tensor,
    bias: Tensor,
    power: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """inputs: (B, L, I); hidden, cell, clock: (B, H), the state (h, c, D) before row 0; power: (H,), p.

    weight: (G H, I), recurrent: (G H, H), bias: (G H,), gates in the order r, o, c and, if G = 4, i.
    Returns h of every row (B, L, H), and c and D after the last one (B, H).
    """
    gates = bias.shape[0] // hidden.shape[1]
    rows = []
    for row in range(inputs.shape[1]):
        total = inputs[:, row] @ weight.T + hidden @ recurrent.T + bias
        parts = total.chunk(gates, dim=1)
        reset, output = parts[0].sigmoid(), parts[1].sigmoid()
        clock = EPSILON * reset + (1.0 - reset) * (clock + 1.0)
        kept = ((clock + EPSILON) / (clock + 1.0)) ** power
        entering = parts[3].sigmoid() if gates == 4 else 1.0 - kept
        cell = kept * cell + entering * parts[2].tanh()
        hidden = output * cell.tanh()
        rows.append(hidden)
    return torch.stack(rows, dim=1), cell, clock
