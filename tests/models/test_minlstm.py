"""minLSTM: the paper's equations in a plain loop and by its scan in log space; gates at their ends."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import softplus

from models.mixers.minlstm import MinLSTM, positive
from tests.batches import perturb


def cell_of(mixer: MinLSTM) -> torch.nn.Module:
    [cell] = [module for module in mixer.modules() if hasattr(module, "gates")]
    return cell


def loop(cell: torch.nn.Module, inputs: Tensor, state: Tensor, above_zero: bool) -> Tensor:
    """(B, L, H): section 3.2 of Feng et al. 2024, row by row, gates divided by their sum."""
    parts = zip(cell.gates.weight.chunk(3), cell.gates.bias.chunk(3), strict=True)  # type: ignore[union-attr, operator]
    forget, write, candidate = (inputs @ weight.T + bias for weight, bias in parts)
    f, i = torch.sigmoid(forget), torch.sigmoid(write)
    h = positive(state) if above_zero else state
    candidate = positive(candidate) if above_zero else candidate
    rows = []
    for t in range(inputs.shape[1]):
        total = f[:, t] + i[:, t]
        h = f[:, t] / total * h + i[:, t] / total * candidate[:, t]
        rows.append(h)
    return torch.stack(rows, dim=1)


def log_space(cell: torch.nn.Module, inputs: Tensor, state: Tensor) -> Tensor:
    """Appendix B of the paper: everything as logarithms, one cumulative sum and one cumulative logsumexp."""

    def log_g(value: Tensor) -> Tensor:
        return torch.where(value >= 0, (value.relu() + 0.5).log(), -softplus(-value))

    forget, write, candidate = cell.gates(inputs).chunk(3, dim=-1)  # type: ignore[operator]
    difference = softplus(-forget) - softplus(-write)
    log_f, log_i = -softplus(difference), -softplus(-difference)
    total = torch.nn.functional.pad(log_f.cumsum(1), (0, 0, 1, 0))
    values = torch.cat([log_g(state)[:, None], log_i + log_g(candidate)], dim=1)
    return (total + torch.logcumsumexp(values - total, dim=1)).exp()[:, 1:]


@pytest.mark.parametrize("above_zero", [True, False])
def test_equals_the_equations_and_their_gradients(above_zero: bool) -> None:
    torch.manual_seed(0)
    mixer = MinLSTM(3, MinLSTM.Config(hidden=5, layers=1, positive=above_zero)).double()
    perturb(mixer, spread=1.0)
    cell = cell_of(mixer)
    inputs = torch.randn(4, 23, 3, dtype=torch.float64, requires_grad=True)
    state = torch.randn(4, 5, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(4, 23, 5, dtype=torch.float64)
    ours = mixer(inputs, torch.full((4,), 23), [state])
    expected = loop(cell, inputs, state, above_zero)
    torch.testing.assert_close(ours, expected)
    wanted = [inputs, state, *cell.parameters()]
    for found, plain in zip(
        torch.autograd.grad(ours, wanted, weight), torch.autograd.grad(expected, wanted, weight), strict=True
    ):
        torch.testing.assert_close(found, plain)


def test_equals_the_paper_s_log_space_scan() -> None:
    torch.manual_seed(0)
    mixer = MinLSTM(3, MinLSTM.Config(hidden=5, layers=1)).double()
    perturb(mixer, spread=1.0)
    inputs, state = torch.randn(4, 50, 3).double(), torch.randn(4, 5).double()
    expected = log_space(cell_of(mixer), inputs, state)
    torch.testing.assert_close(mixer(inputs, torch.full((4,), 50), [state]), expected)


@pytest.mark.parametrize("size", [1.0, 1e3])
def test_gates_wide_open_and_shut_are_finite(size: float) -> None:
    """f and i may both be zero in single precision; their ratio is not 0 / 0, nor is its gradient."""
    torch.manual_seed(0)
    mixer = MinLSTM(3, MinLSTM.Config(hidden=5, layers=1))
    with torch.no_grad():
        cell_of(mixer).gates.weight.mul_(size)  # type: ignore[union-attr, operator]
    inputs = torch.randn(2, 600, 3, requires_grad=True)
    output = mixer(inputs, torch.tensor([600, 600]))
    output.sum().backward()
    assert output.isfinite().all()
    assert inputs.grad is not None
    assert inputs.grad.isfinite().all()
    double = mixer.double()(inputs.detach().double(), torch.tensor([600, 600]))
    torch.testing.assert_close(output.double(), double, rtol=1e-3, atol=1e-3)


def test_positive_form() -> None:
    value = torch.linspace(-6, 6, 101)
    g = positive(value)
    assert (g > 0).all()
    assert (g.diff() > 0).all()
    torch.testing.assert_close(positive(torch.tensor([-1e-6, 0.0, 2.0])), torch.tensor([0.5, 0.5, 2.5]))


def test_chrono_start_is_a_memory_of_so_many_rows() -> None:
    """b_f = log u, b_i = -log u: f / (f + i) = u / (1 + u), u from 1 to T_max - 1."""
    torch.manual_seed(0)
    mixer = MinLSTM(2, MinLSTM.Config(hidden=400, layers=1, chrono=101, positive=False))
    bias = cell_of(mixer).gates.bias.detach()[:400]  # type: ignore[union-attr, index]
    row = mixer(torch.zeros(1, 1, 2), torch.tensor([1]), [torch.ones(1, 400)])[0, 0]
    u = bias.exp()
    torch.testing.assert_close(row, u / (1 + u))
    assert float(u.min()) >= 1.0
    assert float(u.max()) <= 100.0
    assert abs(float(u.mean()) - 50.5) < 5.0


def test_half_precision_of_autocast_does_not_round_gates_to_one() -> None:
    """A memory of a thousand rows needs a gate of 0.999, which bfloat16 does not have."""
    torch.manual_seed(0)
    mixer = MinLSTM(2, MinLSTM.Config(hidden=50, layers=1, chrono=2000, positive=False))
    hidden, length, state = torch.zeros(1, 500, 2), torch.tensor([500]), [torch.ones(1, 50)]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = mixer(hidden, length, state)
    assert rounded.dtype == torch.float32
    rounded.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in mixer.parameters())
    torch.testing.assert_close(rounded, mixer(hidden, length, state), rtol=0.05, atol=0.05)
    assert rounded[0, -1].max().item() < 0.95
