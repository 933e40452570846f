"""Layers of one-direction cells against PyTorch's fused layers with the same weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.mixers.layered import Layered, LayeredConfig, mirror_of, mirrored
from models.mixers.rnn import LSTM


class FusedCell(nn.Module):
    """PyTorch's LSTM of one layer and direction."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(inputs, hidden, batch_first=True)

    def forward(self, rows: Tensor, h: Tensor, c: Tensor) -> Tensor:
        output: Tensor = self.lstm(rows, (h[None], c[None]))[0]
        return output


class Cells(Layered):
    kinds = 2

    def make_cell(self, inputs: int) -> nn.Module:
        return FusedCell(inputs, self.config.hidden)


def pair(**settings: Any) -> tuple[Cells, LSTM]:
    """Layers of cells and the mixer `lstm`, with the same weights."""
    torch.manual_seed(0)
    fused = LSTM(3, LSTM.Config(hidden=4, **settings))
    layers = Cells(3, LayeredConfig(hidden=4, **settings))
    separate = len(fused.blocks) > 1
    with torch.no_grad():
        for layer in range(fused.config.layers):
            block: Any = fused.blocks[layer if separate else 0]
            for direction, cell in enumerate(layers.cells[layer]):  # type: ignore[arg-type]
                suffix = f"_l{0 if separate else layer}{'_reverse' if direction else ''}"
                for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                    getattr(cell.lstm, f"{name}_l0").copy_(getattr(block, name + suffix))
        for name in ("shortcuts", "norms"):
            for ours, theirs in zip(getattr(layers, name), getattr(fused, name), strict=True):
                ours.load_state_dict(theirs.state_dict())
    return layers, fused


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("around", [{}, {"residual": True}, {"residual": True, "layer_norm": True}])
@pytest.mark.parametrize("given", [False, True])
def test_equals_the_fused_layers(bidirectional: bool, around: dict[str, bool], given: bool) -> None:
    """States, directions, padding and what stands around the layers."""
    layers, fused = pair(layers=3, bidirectional=bidirectional, **around)
    hidden, length = torch.randn(3, 8, 3), torch.tensor([8, 1, 5])
    used = torch.arange(8) < length[:, None]
    assert layers.state_shapes() == fused.state_shapes()
    assert layers.causal is fused.causal
    state = [torch.randn(3, *shape) for shape in layers.state_shapes()] if given else None
    torch.testing.assert_close(layers(hidden, length, state)[used], fused(hidden, length, state)[used])


@pytest.mark.parametrize("residual", [False, True])
def test_dropout_in_training_only_and_not_on_a_plain_last_layer(residual: bool) -> None:
    torch.manual_seed(0)
    layers = Cells(3, LayeredConfig(hidden=40, layers=1, dropout=0.5, residual=residual))
    hidden, length = torch.randn(2, 6, 3), torch.tensor([6, 4])
    layers.train()
    assert torch.equal(layers(hidden, length), layers(hidden, length)) is not residual
    layers.eval()
    torch.testing.assert_close(layers(hidden, length), layers(hidden, length), rtol=0, atol=0)
    deeper = Cells(3, LayeredConfig(hidden=40, layers=2, dropout=0.5)).train()
    assert not torch.equal(deeper(hidden, length), deeper(hidden, length))
    assert (deeper(hidden, length) != 0.0).all(), "dropout is between the layers, not after them"


def test_mirror_turns_the_rows_in_use_round_and_is_its_own_inverse() -> None:
    hidden = torch.arange(10.0).reshape(2, 5, 1)
    mirror = mirror_of(torch.tensor([5, 3]), 5)
    turned = mirrored(hidden, mirror)
    assert turned[:, :, 0].tolist() == [[4, 3, 2, 1, 0], [7, 6, 5, 8, 9]]
    torch.testing.assert_close(mirrored(turned, mirror), hidden)
