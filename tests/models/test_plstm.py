"""pLSTM: what its equations imply, and how its layers start."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from data.errors import InputError
from models.kernels.plstm import plstm
from models.kernels.reference import EPSILON
from models.mixers.plstm import PLSTM, PLSTMCell

SHUT, OPEN = -1e3, 1e3


def run(
    candidate: Tensor, power: float, reset: float, cell: Tensor, clock: float = 0.0, kernel: str = "auto"
) -> Tensor:
    """Cells of every row (B, L) where tanh(candidate) is what is read and the output gate shows tanh(c).

    One unit without recurrence: its candidate is the input, its reset gate has the bias `reset`.
    """
    batch = len(candidate)
    weight, recurrent = torch.tensor([[0.0], [0.0], [1.0]]), torch.zeros(3, 1)
    bias = torch.tensor([reset, OPEN, 0.0])
    output, _, _ = plstm(
        candidate[:, :, None],
        torch.zeros(batch, 1),
        cell[:, None],
        torch.full((batch, 1), clock),
        *(weight, recurrent, bias),
        torch.tensor([power]),
        kernel=kernel,
    )
    return output[:, :, 0].double().atanh()


@pytest.mark.parametrize("kernel", ["reference", "torch", "auto"])
@pytest.mark.parametrize(("power", "clock"), [(0.1, 0.0), (0.5, 3.0), (0.9, 20.0)])
def test_what_was_read_fades_by_a_power_law(power: float, clock: float, kernel: str) -> None:
    """Without a reset ((D_0 + 1) / (D_0 + L + 1))^p of the cell is left after L rows, but for epsilon.

    With it, row t keeps ((D_t + eps) / (D_t + 1))^p; the product telescopes where eps is 0.
    """
    rows = 60
    cells = run(torch.zeros(1, rows), power, SHUT, torch.tensor([0.8]), clock, kernel)[0]
    step = torch.arange(1, rows + 1).double()
    exact = (((clock + step + EPSILON) / (clock + step + 1.0)) ** power).cumprod(0)
    torch.testing.assert_close(cells, 0.8 * exact, rtol=1e-5, atol=1e-7)
    law = ((clock + 1.0) / (clock + step + 1.0)) ** power
    torch.testing.assert_close(exact, law, rtol=power * EPSILON * 6, atol=0.0)


def test_with_power_one_the_cell_is_a_running_mean() -> None:
    """f_t = t / (t + 1), so c_t is the mean of what was read, the initial cell counted as one more row."""
    candidate = torch.randn(3, 50, generator=torch.Generator().manual_seed(0))
    cells = run(candidate, 1.0, SHUT, torch.zeros(3))
    rows = torch.arange(2, 52)
    mean = candidate.double().tanh().cumsum(1) / rows
    torch.testing.assert_close(cells, mean, rtol=1e-3, atol=1e-3)  # epsilon is in f


@pytest.mark.parametrize("reset", [0.1, 0.5])
def test_with_a_constant_reset_it_is_an_exponential_in_the_end(reset: float) -> None:
    """D tends to (1 - r) / r + eps, so f to ((1 - r) / r + 2 eps) r / ...: about (1 - r)^p."""
    power, rows = 0.7, 200
    bias = float(torch.logit(torch.tensor(reset)))
    cells = run(torch.zeros(1, rows), power, bias, torch.tensor([0.9]))[0]
    ratio = cells[1:] / cells[:-1]
    late = ratio[40:60]
    assert float(late.max() - late.min()) < 1e-3, "the ratio is constant"
    assert float(late.mean()) == pytest.approx((1.0 - reset) ** power, rel=0.01)


def test_small_powers_cannot_erase() -> None:
    """Even just after a reset (2 eps / (1 + eps))^p is left."""
    power = 0.05
    cells = run(torch.zeros(1, 1), power, OPEN, torch.tensor([0.5]))[0]
    assert float(cells[0]) == pytest.approx(0.5 * (2 * EPSILON / (1.0 + EPSILON)) ** power, rel=1e-4)


def test_three_gates_have_a_quarter_fewer_parameters_than_an_lstm() -> None:
    width, hidden = 10, 32
    cell = PLSTMCell(width, PLSTM.Config(hidden=hidden))
    assert (
        sum(parameter.numel() for parameter in cell.parameters())
        == 3 * hidden * (hidden + width + 1) + hidden
    )
    four = PLSTMCell(width, PLSTM.Config(hidden=hidden, gates=4))
    assert (
        sum(parameter.numel() for parameter in four.parameters())
        == 4 * hidden * (hidden + width + 1) + hidden
    )


def test_both_starts() -> None:
    torch.manual_seed(0)
    hidden = 4000
    authors = PLSTMCell(1, PLSTM.Config(hidden=hidden))
    power = authors.raw_power.sigmoid()
    quantiles = power.quantile(torch.tensor([0.1, 0.5, 0.9]))
    torch.testing.assert_close(quantiles, torch.tensor([0.1, 0.5, 0.9]), rtol=0.0, atol=0.03)
    assert authors.bias.abs().max() <= hidden**-0.5
    chrono = PLSTMCell(1, PLSTM.Config(hidden=hidden, chrono=101))
    rate = chrono.bias[:hidden].sigmoid()  # of resets a row
    memory = (1.0 / rate - 1.0).detach()
    assert memory.min() >= 1.0
    assert memory.max() <= 100.0 + 1e-3
    assert float(memory.mean()) == pytest.approx(50.5, abs=2.0)
    with pytest.raises(InputError, match="chrono=2"):
        PLSTMCell(1, PLSTM.Config(chrono=2))
    slow = PLSTMCell(1, PLSTM.Config(hidden=hidden, largest_power=0.3))
    assert slow.bias.detach().std().item() == pytest.approx(hidden**-0.5 / 3**0.5, rel=0.05)
    assert 0 < slow.raw_power.sigmoid().min() < slow.raw_power.sigmoid().max() < 0.3
    with pytest.raises(InputError, match="gates=5"):
        PLSTM(1, PLSTM.Config(gates=5))


def test_the_clock_s_initial_state_may_be_any_number() -> None:
    cell = PLSTMCell(2, PLSTM.Config(hidden=3))
    inputs, zero = torch.randn(1, 6, 2), torch.zeros(1, 3)
    clock = torch.zeros(1, 3, requires_grad=True)
    [gradient] = torch.autograd.grad(cell(inputs, zero, torch.ones(1, 3), clock).sum(), clock)
    assert (gradient != 0).all(), "metadata can move it from the zero state"
    for value in (-1e6, -5.0, 5.0, 1e6):
        assert cell(inputs, zero, zero, torch.full((1, 3), value)).isfinite().all()


def test_a_checkpoint_has_the_powers(tmp_path: Path) -> None:
    mixer = PLSTM(3, PLSTM.Config(hidden=4, layers=1))
    save_file(mixer.state_dict(), tmp_path / "weights.safetensors")
    other = PLSTM(3, PLSTM.Config(hidden=4, layers=1))
    other.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    one, two = (each.cells[0][0].raw_power for each in (mixer, other))  # type: ignore[index]
    assert torch.equal(one, two)
    assert one.requires_grad
