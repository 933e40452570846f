"""The gates that keep the past, of every recurrent layer and direction of a network, on given data.

Cells do not hand their gates out (nn.LSTM cannot). A gate is a function of the layer's input and of the
hidden state a row before, and that is the layer's own output: with the output known, all rows follow in one
product.

    LSTM     f_t = sigmoid(W_f x_t + U_f h_{t-1} + b_f)
    GRU      z_t, which keeps h as f keeps c
    JANET    f_t of its s_t; minLSTM f'_t = f_t / (f_t + i_t)
    pLSTM    f_t = ((D_t + eps) / (D_t + 1))^p, D_t = eps r_t + (1 - r_t) (D_{t-1} + 1), r_t from x and h

The logarithm of f is worked out, in float64: a gate near 1 keeps its digits in a product of many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import singledispatch
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import elu, logsigmoid

from data.batch import SequenceBatch
from models.kernels.reference import EPSILON
from models.mixers.dilated_lstm import DilatedLSTM
from models.mixers.janet import JANETCell
from models.mixers.layered import Layered, mirror_of, mirrored
from models.mixers.linear_scan import linear_scan
from models.mixers.minlstm import MinLSTMCell
from models.mixers.plstm import PLSTMCell
from models.mixers.rnn import Gated
from models.mixers.softplus_lstm import SoftplusLSTMCell
from models.network import Network


class LayerGates(NamedTuple):
    """One layer in one direction; its rows in the order in which it reads them."""

    layer: str  # where it stands in the network, its number, and `backward` for the way back
    log_forget: Tensor  # (N, T, H) float64: log f of every step
    hidden: Tensor  # (N, T, H): its output, from which the gates follow
    length: Tensor  # (N,) steps in use
    stride: int  # rows of a window that a step takes: the dilation


def forget_gates(network: Network, batch: SequenceBatch) -> list[LayerGates]:
    """Of all LSTM (softplus, too), GRU, pLSTM, JANET and minLSTM layers that `network(batch)` runs, in order.

    The network should be in evaluation mode: with dropout its gates are not those of a forecast. Calls that
    read a single row (a decoder's) are left out: there is no product over them. So is `lstm_reference`, a
    call for each row; its gates are those of `lstm`.
    """
    found: list[LayerGates] = []
    with torch.no_grad(), _listening(network, found.append):
        network(batch._replace(target=None))
    return found


@contextmanager
def _listening(network: Network, found: Callable[[LayerGates], None]) -> Iterator[None]:
    """While it lasts, gates of whatever the network runs are handed to `found`."""
    undo: list[Callable[[], Any]] = []
    dilated: dict[nn.Module, dict[str, Tensor]] = {}  # layers of dilated mixers, and their windows' lengths
    try:
        for name, module in network.named_modules():
            if isinstance(module, DilatedLSTM):
                lengths: dict[str, Tensor] = {}
                dilated.update((layer, lengths) for layer in module.layers)
                _intercept(
                    module, "forward", lambda hidden, length, *_, to=lengths: to.update(window=length), undo
                )
            elif isinstance(module, Gated):

                def hear(
                    hidden: Tensor,
                    length: Tensor,
                    state: Sequence[Tensor] | None = None,
                    mixer: Gated = module,
                    name: str = name,
                ) -> None:
                    stride = 1
                    if mixer in dilated:
                        stride, length = _of_chains(dilated[mixer]["window"], hidden)
                    if hidden.shape[1] > 1:
                        for gates in _fused_gates(mixer, name, hidden, length, state, stride):
                            found(gates)

                for method in ("forward", "carry"):
                    _intercept(module, method, hear, undo)
            elif isinstance(module, Layered):
                undo += _hook_cells(module, name, found)
        yield
    finally:
        for take_off in undo:
            take_off()


def _intercept(
    module: nn.Module, method: str, hear: Callable[..., None], undo: list[Callable[[], Any]]
) -> None:
    """Whenever `method` of the module is called, `hear` is called with the same arguments first."""
    original = getattr(module, method)

    def both(*arguments: Any, **more: Any) -> Any:
        hear(*arguments, **more)
        return original(*arguments, **more)

    setattr(module, method, both)  # on the instance, in front of the class's own
    undo.append(lambda: delattr(module, method))


def _of_chains(length: Tensor, hidden: Tensor) -> tuple[int, Tensor]:
    """Dilation d of chains (B d, rows, width), and steps in use of each: every d-th row, from k < d on."""
    dilation = hidden.shape[0] // len(length)
    begin = torch.arange(dilation, device=length.device)
    return dilation, ((length[:, None] - begin + dilation - 1) // dilation).clamp(min=0).flatten()


def _fused_gates(
    mixer: Gated, name: str, hidden: Tensor, length: Tensor, state: Sequence[Tensor] | None, stride: int
) -> Iterator[LayerGates]:
    """Layer by layer, each direction by itself, as PyTorch's fused module runs them at once."""
    run: Any = torch.lstm if mixer.cell is nn.LSTM else torch.gru
    units, directions, kinds = mixer.config.hidden, mixer.directions, mixer.kinds
    initial = (
        list(state)
        if state is not None
        else [hidden.new_zeros(len(hidden), units) for _ in mixer.state_shapes()]
    )
    mirror = mirror_of(length, hidden.shape[1])
    number = 0
    block: Any
    for index, block in enumerate(mixer.blocks):
        entering = hidden
        for layer in range(block.num_layers):
            both = []
            for direction in range(directions):
                weights = _weights(block, layer, direction)
                rows = mirrored(hidden, mirror) if direction else hidden
                own = [kind.to(rows.dtype) for kind in initial[:kinds]]
                initial = initial[kinds:]
                started = tuple(kind[None].contiguous() for kind in own)
                output = run(
                    rows, started if kinds > 1 else started[0], weights, True, 1, 0.0, False, False, True
                )[0]
                gate = slice(mixer.keep_gate * units, (mixer.keep_gate + 1) * units)
                wide, recurrent, *biases = (weight[gate].double() for weight in weights)
                before = _before(output, own[0]).double()
                log_forget = logsigmoid(rows.double() @ wide.T + before @ recurrent.T + sum(biases))
                called = f"{name} layer {number}{' backward' if direction else ''}"
                yield LayerGates(called, log_forget, output, length, stride)
                both.append(mirrored(output, mirror) if direction else output)
            hidden = torch.cat(both, dim=2)
            number += 1
        hidden = mixer.joined(index, entering, hidden)


def _weights(block: nn.Module, layer: int, direction: int) -> list[Tensor]:
    suffix = f"_l{layer}{'_reverse' if direction else ''}"
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    return [getattr(block, f"{name}{suffix}") for name in names]


def _before(output: Tensor, initial: Tensor) -> Tensor:
    """h_{t-1} of every row."""
    return torch.cat([initial[:, None].to(output.dtype), output[:, :-1]], dim=1)


def _hook_cells(mixer: Layered, name: str, found: Callable[[LayerGates], None]) -> list[Callable[[], Any]]:
    """Cells of our own are modules by themselves: what they read and give is heard as they run."""
    lengths: dict[str, Tensor] = {}

    def begin(mixer: nn.Module, arguments: Any) -> None:
        lengths["window"] = arguments[1]

    hooks = [mixer.register_forward_pre_hook(begin)]
    for called, cell in cells_of(mixer, name):

        def hear(cell: nn.Module, arguments: Any, output: Tensor, called: str = called) -> None:
            rows, *states = arguments
            log_forget = log_forget_gate(cell, rows, states, output) if rows.shape[1] > 1 else None
            if log_forget is not None:
                found(LayerGates(called, log_forget, output, lengths["window"], 1))

        hooks.append(cell.register_forward_hook(hear))
    return [hook.remove for hook in hooks]


def cells_of(mixer: Layered, name: str) -> Iterator[tuple[str, nn.Module]]:
    """Cells of our own by the name of their layer; name: of the mixer in its network."""
    cells: Any
    for layer, cells in enumerate(mixer.cells):
        for direction, cell in enumerate(cells):
            yield f"{name} layer {layer}{' backward' if direction else ''}", cell


@singledispatch
def log_forget_gate(
    cell: nn.Module, inputs: Tensor, states: Sequence[Tensor], output: Tensor
) -> Tensor | None:
    """(B, L, H) float64: log f of every row of a cell of our own; None of one that has no such gate.

    inputs: (B, L, width); states: before row 0, as the cell takes them; output: (B, L, H), what it gave.
    """
    return None


@log_forget_gate.register
def _(cell: PLSTMCell, inputs: Tensor, states: Sequence[Tensor], output: Tensor) -> Tensor:
    units = output.shape[2]
    weight, recurrent, bias = (each[:units].double() for each in (cell.weight, cell.recurrent, cell.bias))
    before = _before(output, states[0]).double()
    total = inputs.double() @ weight.T + before @ recurrent.T + bias
    reset, leak = total.sigmoid(), (-total).sigmoid()
    clock = linear_scan(leak, leak + EPSILON * reset, elu(states[2].double()))
    power = cell.raw_power.double().sigmoid()
    return power * torch.log1p((EPSILON - 1.0) / (clock + 1.0))


@log_forget_gate.register
def _(cell: SoftplusLSTMCell, inputs: Tensor, states: Sequence[Tensor], output: Tensor) -> Tensor:
    third = slice(2 * output.shape[2], 3 * output.shape[2])
    weight, bias, recurrent = cell.input.weight[third], cell.input.bias[third], cell.recurrent[third]
    before = _before(output, states[0]).double()
    return logsigmoid(inputs.double() @ weight.double().T + bias.double() + before @ recurrent.double().T)


@log_forget_gate.register
def _(cell: JANETCell, inputs: Tensor, states: Sequence[Tensor], output: Tensor) -> Tensor:
    units = output.shape[2]
    weight, bias = cell.input.weight[:units].double(), cell.input.bias[:units].double()
    before = _before(output, states[0]).double()
    return logsigmoid(inputs.double() @ weight.T + bias + before @ cell.recurrent[:units].double().T)


@log_forget_gate.register
def _(cell: MinLSTMCell, inputs: Tensor, states: Sequence[Tensor], output: Tensor) -> Tensor:
    units = output.shape[2]
    gates = (
        inputs.double() @ cell.gates.weight[: 2 * units].double().T + cell.gates.bias[: 2 * units].double()
    )
    forget, write = gates.chunk(2, dim=2)
    return logsigmoid(logsigmoid(forget) - logsigmoid(write))
