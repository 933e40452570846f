"""PyTorch's fused recurrent layers over windows that differ in length.

Backwards means backwards from the last row in use, not from the end of the padding. For windows of unequal
length that is packing on a GPU; on a CPU packing is slow (it leaves oneDNN's kernel), so each direction runs
over rows that are reversed by a gather. An LSTM in float32 on a CPU runs by compiled loops of ours instead,
layer by layer, with the module's weights (models/kernels/lstm.py).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from data.transfer import on_cpu
from models.kernels.lstm import compiled_loops_run, compiled_lstm
from models.mixers.layered import mirror_of, mirrored


def run_recurrent(
    block: Any, hidden: Tensor, length: Tensor, state: list[Tensor], even: bool, packed: bool | None = None
) -> Tensor:
    """(B, L, directions * hidden): one fused module over windows that may differ in length.

    state: (layers * directions, B, hidden) for each kind. even: no window is padded, or it does not matter.
    packed: how padded ones run; None: packed on a GPU, else each direction by itself.
    """
    if hidden.is_cuda and torch.is_autocast_enabled("cuda"):
        # Autocast would run cuDNN's recurrent layers in float16, whatever type it was told, and float16 needs
        # its losses scaled; in float32 their products still use the tensor cores (TF32).
        with torch.autocast("cuda", enabled=False):
            single = [kind.float() for kind in state]
            return run_recurrent(block, hidden.float(), length, single, even, packed)
    if packed is None and type(block) is nn.LSTM and compiled_loops_run(hidden, *block.parameters()):
        return _by_direction(block, hidden, length, state, compiled=True)
    initial = tuple(state) if len(state) > 1 else state[0]
    if even:
        mixed: Tensor = block(hidden, initial)[0]
        return mixed
    if hidden.is_cuda if packed is None else packed:
        sequence = pack_padded_sequence(
            hidden, on_cpu(length).clamp(min=1), batch_first=True, enforce_sorted=False
        )
        return pad_packed_sequence(
            block(sequence, initial)[0], batch_first=True, total_length=hidden.shape[1]
        )[0]
    return _by_direction(block, hidden, length, state)


def run_and_carry(
    block: Any, hidden: Tensor, length: Tensor, state: list[Tensor], even: bool
) -> tuple[Tensor, list[Tensor]]:
    """One fused module that runs forwards only: its output, and its states after each window's last row.

    Windows of unequal length are packed: the module itself tells only the states after its last step.
    """
    if hidden.is_cuda and torch.is_autocast_enabled("cuda"):  # see run_recurrent
        with torch.autocast("cuda", enabled=False):
            return run_and_carry(block, hidden.float(), length, [kind.float() for kind in state], even)
    initial = tuple(kind.contiguous() for kind in state)
    rows: Any = hidden
    if not even:
        rows = pack_padded_sequence(
            hidden, on_cpu(length).clamp(min=1), batch_first=True, enforce_sorted=False
        )
    mixed, last = block(rows, initial if len(initial) > 1 else initial[0])
    ended = list(last) if isinstance(last, tuple) else [last]
    if not even:
        mixed = pad_packed_sequence(mixed, batch_first=True, total_length=hidden.shape[1])[0]
        empty = (length == 0)[None, :, None]  # packing takes at least one row of every window
        ended = [torch.where(empty, kind, after) for kind, after in zip(initial, ended, strict=True)]
    return mixed, ended


def _by_direction(
    block: Any, hidden: Tensor, length: Tensor, state: list[Tensor], compiled: bool = False
) -> Tensor:
    """Layer by layer, the backward direction over rows reversed within `length`."""
    directions = 2 if block.bidirectional else 1
    mirror = mirror_of(length, hidden.shape[1]) if block.bidirectional else None
    for layer in range(block.num_layers):
        if layer and block.dropout:
            hidden = nn.functional.dropout(hidden, block.dropout, block.training)
        mixed = []
        for direction, suffix in enumerate(("", "_reverse")[:directions]):
            weights = [
                getattr(block, f"{name}_l{layer}{suffix}")
                for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            ]
            place = directions * layer + direction
            own = [kind[place : place + 1] for kind in state]
            rows = mirrored(hidden, mirror) if mirror is not None and direction else hidden
            output = (_compiled if compiled else _fused)(block, rows, own, weights)
            mixed.append(mirrored(output, mirror) if mirror is not None and direction else output)
        hidden = torch.cat(mixed, dim=2) if directions > 1 else mixed[0]
    return hidden


def _compiled(block: Any, rows: Tensor, state: list[Tensor], weights: list[Tensor]) -> Tensor:
    weight, recurrent, *biases = weights
    return compiled_lstm(rows, state[0][0], state[1][0], weight, recurrent, biases[0] + biases[1])[0]


def _fused(block: Any, rows: Tensor, state: list[Tensor], weights: list[Tensor]) -> Tensor:
    run: Any = {nn.LSTM: torch.lstm, nn.GRU: torch.gru, nn.RNN: torch.rnn_tanh}[type(block)]
    own = [kind.contiguous() for kind in state]
    # input, state, weights, has_biases, layers, dropout, train, bidirectional, batch_first
    options = (True, 1, 0.0, block.training, False, True)
    output: Tensor = run(rows, tuple(own) if len(own) > 1 else own[0], weights, *options)[0]
    return output
