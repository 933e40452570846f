"""The LSTM that squashes by softplus: its equations row by row, and its gradients."""

from __future__ import annotations

import torch
from torch.nn.functional import softplus

from models.mixers.base import make_mixer
from models.mixers.softplus_lstm import SoftplusLSTM, softplus_recurrence


def test_it_is_its_equations() -> None:
    torch.manual_seed(0)
    mixer = SoftplusLSTM(3, SoftplusLSTM.Config(hidden=4, layers=1))
    [[cell]] = mixer.cells  # type: ignore[misc]
    x, h, c = torch.randn(2, 5, 3), torch.randn(2, 4), torch.randn(2, 4)
    found = mixer(x, torch.tensor([5, 5]), [h, c])
    for row in range(5):
        before = cell.input(x[:, row]) + h @ cell.recurrent.t()
        o, i, f = before[:, :12].sigmoid().split(4, 1)
        c = f * c + i * softplus(before[:, 12:])
        h = o * softplus(c)
        torch.testing.assert_close(found[:, row], h)


def test_gradients() -> None:
    torch.manual_seed(0)
    shapes = ((4, 12, 2), (12, 3), (3, 2), (3, 2))
    given = [torch.randn(*shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    assert torch.autograd.gradcheck(softplus_recurrence, given)


def test_keras_s_start() -> None:
    mixer = make_mixer({"name": "softplus_lstm", "hidden": 4, "layers": 1}, 3, "mixers[0]")
    [[cell]] = mixer.cells  # type: ignore[misc]
    assert cell.input.bias.tolist() == [0.0] * 8 + [1.0] * 4 + [0.0] * 4
