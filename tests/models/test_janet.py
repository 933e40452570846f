"""JANET: the paper's equations in a plain loop, the hand-written gradient, what beta and the start do."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from models.mixers.janet import JANET
from models.mixers.janet_recurrence import janet_recurrence
from tests.batches import perturb


def loop(cell: torch.nn.Module, inputs: Tensor, state: Tensor, beta: float) -> Tensor:
    """(B, L, H): the equations of van der Westhuizen and Lasenby 2018, row by row."""
    (w_f, w_c), (b_f, b_c) = cell.input.weight.chunk(2), cell.input.bias.chunk(2)  # type: ignore[union-attr, operator]
    u_f, u_c = cell.recurrent.chunk(2)  # type: ignore[operator]
    c, rows = state, []
    for t in range(inputs.shape[1]):
        x = inputs[:, t]
        s = x @ w_f.T + c @ u_f.T + b_f
        candidate = torch.tanh(x @ w_c.T + c @ u_c.T + b_c)
        c = torch.sigmoid(s) * c + (1 - torch.sigmoid(s - beta)) * candidate
        rows.append(c)
    return torch.stack(rows, dim=1)


@pytest.mark.parametrize("beta", [0.0, 1.0])
def test_equals_the_equations_and_their_gradients(beta: float) -> None:
    torch.manual_seed(0)
    mixer = JANET(3, JANET.Config(hidden=5, layers=1, beta=beta)).double()
    perturb(mixer)
    [cell] = [module for module in mixer.modules() if hasattr(module, "recurrent")]
    inputs = torch.randn(4, 9, 3, dtype=torch.float64, requires_grad=True)
    state = torch.randn(4, 5, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(4, 9, 5, dtype=torch.float64)
    ours = mixer(inputs, torch.full((4,), 9), [state])
    expected = loop(cell, inputs, state, beta)
    torch.testing.assert_close(ours, expected)
    wanted = [inputs, state, *cell.parameters()]
    for found, plain in zip(
        torch.autograd.grad(ours, wanted, weight), torch.autograd.grad(expected, wanted, weight), strict=True
    ):
        torch.testing.assert_close(found, plain)


def test_gradient_of_the_recurrence_against_differences() -> None:
    torch.manual_seed(0)
    inputs = torch.randn(6, 2, 6, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    initial = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda *given: janet_recurrence(*given, 0.7), (inputs, weight, initial))


def test_what_is_forgotten_makes_room() -> None:
    """With beta 0 the cell is a weighted mean, which a constant candidate of one never leaves."""
    torch.manual_seed(0)
    gates = torch.cat([torch.randn(50, 1, 4), torch.full((50, 1, 4), 20.0)], dim=2)
    still = janet_recurrence(gates, torch.zeros(8, 4), torch.ones(1, 4), 0.0)
    torch.testing.assert_close(still, torch.ones(50, 1, 4))
    risen = janet_recurrence(gates, torch.zeros(8, 4), torch.ones(1, 4), 1.0)
    assert (risen > 1.0).all(), "beta of one writes more than was forgotten"


def test_chrono_start_remembers_for_longer() -> None:
    """Half of the units still hold most of it after a third of T_max; with a bias of one none does."""
    rows, kept = 60, {}
    for chrono in (0, 180):
        torch.manual_seed(0)
        mixer = JANET(2, JANET.Config(hidden=100, layers=1, chrono=chrono))
        length, hidden = torch.tensor([rows]), torch.zeros(1, rows, 2)
        for parameter in mixer.parameters():
            if parameter.shape == (200, 100):
                parameter.data.zero_()  # no recurrence: the gate is its bias
        kept[chrono] = mixer(hidden, length, [torch.ones(1, 100)])[0, -1].detach()
    assert float(kept[0].max()) < 1e-6
    assert float((kept[180] > 0.5).float().mean()) > 0.45


def test_types_of_autocast_do_not_reach_the_recurrence() -> None:
    torch.manual_seed(0)
    mixer = JANET(3, JANET.Config(hidden=5, layers=2, bidirectional=True))
    hidden, length = torch.randn(2, 7, 3), torch.tensor([7, 4])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = mixer(hidden, length)
    output.float().square().sum().backward()
    torch.testing.assert_close(output.float(), mixer(hidden, length), rtol=0.05, atol=0.02)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in mixer.parameters())
