"""The scan against the loop: every size of block, gradients, and long sequences of extreme decays."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from models.mixers.linear_scan import linear_scan


def loop(decay: Tensor, value: Tensor, initial: Tensor) -> Tensor:
    """h_t = a_t h_{t-1} + b_t as it is written."""
    hidden, rows = initial, []
    for row in range(decay.shape[1]):
        hidden = decay[:, row] * hidden + value[:, row]
        rows.append(hidden)
    return torch.stack(rows, dim=1)


def log_space(decay: Tensor, value: Tensor) -> Tensor:
    """The scan of Heinsen 2023 from zero, for positive values: exp(A + log cumsum exp(log b - A))."""
    total = decay.log().cumsum(1)
    return (total + torch.logcumsumexp(value.log() - total, dim=1)).exp()


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 16, 33])
@pytest.mark.parametrize("block", [None, 1, 2, 4, 5, 33])
def test_values_and_gradients_are_those_of_the_loop(rows: int, block: int | None) -> None:
    torch.manual_seed(0)
    decay = torch.rand(3, rows, 4, dtype=torch.float64, requires_grad=True)
    value = torch.randn(3, rows, 4, dtype=torch.float64, requires_grad=True)
    initial = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(3, rows, 4, dtype=torch.float64)
    ours, expected = linear_scan(decay, value, initial, block), loop(decay, value, initial)
    torch.testing.assert_close(ours, expected)
    inputs = (decay, value, initial)
    for found, wanted in zip(
        torch.autograd.grad(ours, inputs, weight), torch.autograd.grad(expected, inputs, weight), strict=True
    ):
        torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("block", [None, 64])
def test_single_precision_holds_over_thousands_of_rows(block: int | None) -> None:
    """Where decays are small the log-space scan is off by a part in a thousand; this one by rounding."""
    torch.manual_seed(0)
    decay, value = torch.rand(1, 4096, 64) ** 4, torch.rand(1, 4096, 64) + 0.1
    expected = loop(decay.double(), value.double(), torch.zeros(1, 64).double())

    def error(found: Tensor) -> float:
        return float(((found - expected) / expected).abs().max())

    assert error(linear_scan(decay, value, torch.zeros(1, 64), block)) < 1e-6
    assert error(log_space(decay, value)) > 1e-4
    torch.testing.assert_close(log_space(decay.double(), value.double()), expected)


@pytest.mark.parametrize("block", [None, 32])
def test_nothing_overflows_at_the_ends(block: int | None) -> None:
    """Decays of exactly 0 and 1, and products far below the smallest number: all stays finite."""
    decay = torch.cat([torch.zeros(1, 300, 1), torch.ones(1, 300, 1), torch.full((1, 300, 1), 1e-30)], dim=2)
    decay.requires_grad_()
    value = torch.ones(1, 300, 3, requires_grad=True)
    hidden = linear_scan(decay, value, torch.ones(1, 3), block)
    torch.testing.assert_close(hidden[0, -1], torch.tensor([1.0, 301.0, 1.0]))
    hidden[:, -1].sum().backward()
    assert decay.grad is not None
    assert decay.grad.isfinite().all()
    assert value.grad is not None
    torch.testing.assert_close(value.grad[0, :, 1], torch.ones(300))
