"""The LSTM written out equals nn.LSTM: outputs, gradients, initial states, both directions, padding."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from models.mixers.fused_layer import run_recurrent
from models.mixers.reference_lstm import GATES, ReferenceLSTM
from models.mixers.rnn import LSTM


def same_weights(reference: ReferenceLSTM, fused: nn.LSTM) -> None:
    """Copy the reference's weights into PyTorch's, whose second bias becomes zero."""
    with torch.no_grad():
        for index, layer in enumerate(reference.layers):
            for direction, cell in enumerate(layer):  # type: ignore[arg-type]
                name = f"l{index}{'_reverse' if direction else ''}"
                for place, gate in enumerate(GATES):
                    own = slice(place * fused.hidden_size, (place + 1) * fused.hidden_size)
                    getattr(fused, f"weight_ih_{name}")[own] = cell.input[gate].weight
                    getattr(fused, f"weight_hh_{name}")[own] = cell.recurrent[gate].weight
                    getattr(fused, f"bias_ih_{name}")[own] = cell.input[gate].bias
                    getattr(fused, f"bias_hh_{name}")[own] = 0.0


def gradients_of(reference: ReferenceLSTM) -> dict[str, Tensor]:
    """The reference's gradients under PyTorch's names."""
    found = {}
    for index, layer in enumerate(reference.layers):
        for direction, cell in enumerate(layer):  # type: ignore[arg-type]
            name = f"l{index}{'_reverse' if direction else ''}"
            found[f"weight_ih_{name}"] = torch.cat([cell.input[gate].weight.grad for gate in GATES])
            found[f"weight_hh_{name}"] = torch.cat([cell.recurrent[gate].weight.grad for gate in GATES])
            found[f"bias_ih_{name}"] = torch.cat([cell.input[gate].bias.grad for gate in GATES])
    return found


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("lengths", [[8, 8, 8], [8, 1, 5]])
@pytest.mark.parametrize("given", [False, True])
def test_equals_pytorch_s(bidirectional: bool, layers: int, lengths: list[int], given: bool) -> None:
    torch.manual_seed(0)
    config = ReferenceLSTM.Config(hidden=5, layers=layers, bidirectional=bidirectional)
    reference = ReferenceLSTM(3, config).double()
    fused = nn.LSTM(3, 5, layers, batch_first=True, bidirectional=bidirectional).double()
    same_weights(reference, fused)
    length = torch.tensor(lengths)
    used = torch.arange(8) < length[:, None]
    shapes = reference.state_shapes()
    assert len(shapes) == 2 * layers * (1 + bidirectional)
    scale = 1.0 if given else 0.0
    inputs = [torch.randn(3, 8, 3, dtype=torch.float64).requires_grad_()]
    inputs += [scale * torch.randn(3, *shape, dtype=torch.float64) for shape in shapes]
    weight = torch.randn(3, 8, reference.width_out, dtype=torch.float64) * used[:, :, None]
    both = []
    for which in (reference, fused):
        hidden, *state = [tensor.detach().clone().requires_grad_() for tensor in inputs]
        if isinstance(which, ReferenceLSTM):
            output = which(hidden, length, state if given else None)
        else:
            stacked = [torch.stack(state[0::2]), torch.stack(state[1::2])]
            output = run_recurrent(fused, hidden, length, stacked, even=False, packed=True)
        (output * weight).sum().backward()
        both.append([output[used], hidden.grad, *[tensor.grad for tensor in state if given]])
    for ours, theirs in zip(*both, strict=True):
        torch.testing.assert_close(ours, theirs)
    for name, gradient in gradients_of(reference).items():
        torch.testing.assert_close(gradient, getattr(fused, name).grad)


def test_starts_like_the_fast_one() -> None:
    """The same distribution of starting weights, and a forget bias of one."""
    torch.manual_seed(0)
    reference = ReferenceLSTM(40, ReferenceLSTM.Config(hidden=50))
    fast = LSTM(40, LSTM.Config(hidden=50, layers=1)).blocks[0]
    for place, gate in enumerate(GATES):
        own = slice(place * 50, (place + 1) * 50)
        cell = reference.layers[0][0]  # type: ignore[index]
        spread = cell.input[gate].weight.detach().std() / fast.weight_ih_l0[own].detach().std()  # type: ignore[index]
        assert abs(float(spread) - 1.0) < 0.05
        torch.testing.assert_close(cell.input[gate].bias, fast.bias_ih_l0[own] + fast.bias_hh_l0[own])  # type: ignore[index]
        torch.testing.assert_close(
            cell.recurrent[gate].weight @ cell.recurrent[gate].weight.T, torch.eye(50), rtol=0, atol=1e-5
        )
