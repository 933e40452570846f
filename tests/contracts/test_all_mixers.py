"""What every registered mixer keeps to, in every variant it names."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from models.mixers.base import MIXERS, Mixer
from tests.batches import perturb

WINDOWS, ROWS, WIDTH = 5, 12, 7
CASES = [
    pytest.param(kind, config, id=f"{name}-{index}")
    for name, kind in MIXERS.items()
    for index, config in enumerate(kind.variants())
]


def build(kind: type[Mixer], config: Any) -> Mixer:
    torch.manual_seed(0)
    mixer = kind(WIDTH, config)
    perturb(mixer)
    return mixer.eval()


def inputs(mixer: Mixer) -> tuple[Tensor, Tensor, list[Tensor] | None]:
    generator = torch.Generator().manual_seed(3)
    hidden = torch.randn(WINDOWS, ROWS, WIDTH, generator=generator)
    length = torch.tensor([ROWS, 1, 5, ROWS - 1, 8])
    state = [torch.randn(WINDOWS, *shape, generator=generator) for shape in mixer.state_shapes()]
    return hidden, length, state or None


def in_use(length: Tensor) -> Tensor:
    return torch.arange(ROWS) < length[:, None]


@pytest.mark.parametrize(("kind", "config"), CASES)
class TestMixer:
    def test_shape_and_finite(self, kind: type[Mixer], config: Any) -> None:
        mixer = build(kind, config)
        hidden, length, state = inputs(mixer)
        for given in (state, None):
            output = mixer(hidden, length, given)
            assert output.shape == (WINDOWS, ROWS, mixer.width_out)
            assert output.isfinite().all()

    def test_every_parameter_and_state_gets_a_gradient(self, kind: type[Mixer], config: Any) -> None:
        mixer = build(kind, config)
        hidden, length, state = inputs(mixer)
        for tensor in state or []:
            tensor.requires_grad_()
        output = mixer(hidden, length, state)[in_use(length)]
        (output * torch.randn(output.shape, generator=torch.Generator().manual_seed(1))).sum().backward()
        for name, tensor in [*mixer.named_parameters(), *enumerate(state or [])]:
            assert tensor.grad is not None, name
            assert tensor.grad.isfinite().all(), name
            assert tensor.grad.abs().max() > 0, name

    def test_padding_does_not_reach_a_row_in_use(self, kind: type[Mixer], config: Any) -> None:
        mixer = build(kind, config)
        hidden, length, state = inputs(mixer)
        used = in_use(length)
        other = torch.where(used[:, :, None], hidden, 100.0 * torch.randn(hidden.shape))
        before, after = mixer(hidden, length, state), mixer(other, length, state)
        torch.testing.assert_close(before[used], after[used], rtol=0, atol=0)

    def test_a_padded_window_equals_the_window_cut_to_length(self, kind: type[Mixer], config: Any) -> None:
        mixer = build(kind, config)
        hidden, length, state = inputs(mixer)
        output = mixer(hidden, length, state)
        for window, rows in enumerate(length.tolist()):
            own = None if state is None else [tensor[window : window + 1] for tensor in state]
            alone = mixer(hidden[window : window + 1, :rows], length[window : window + 1], own)
            torch.testing.assert_close(output[window : window + 1, :rows], alone, rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("rows", [1, 2, 11, ROWS])
    def test_the_last_row_alone(self, kind: type[Mixer], config: Any, rows: int) -> None:
        """The same row and the same gradients as of all rows, whatever it costs."""
        mixer = build(kind, config)
        hidden, _, state = inputs(mixer)
        hidden, length = hidden[:, :rows].clone().requires_grad_(), torch.full((WINDOWS,), rows)
        found = []
        for row in (mixer(hidden, length, state)[:, -1], mixer.last_row(hidden, length, state)):
            parameters = [hidden, *mixer.parameters()]
            loss = (row * torch.linspace(-1.0, 1.0, row.numel()).view_as(row)).sum()
            found.append([row, *torch.autograd.grad(loss, parameters, allow_unused=True)])
        for whole, alone in zip(*found, strict=True):
            assert (whole is None) == (alone is None)
            if whole is not None:
                torch.testing.assert_close(alone, whole, rtol=1e-4, atol=1e-5)

    def test_order_of_the_batch(self, kind: type[Mixer], config: Any) -> None:
        mixer = build(kind, config)
        hidden, length, state = inputs(mixer)
        order = torch.tensor([3, 0, 4, 2, 1])
        moved = mixer(
            hidden[order], length[order], None if state is None else [tensor[order] for tensor in state]
        )
        torch.testing.assert_close(
            mixer(hidden, length, state)[order][in_use(length[order])],
            moved[in_use(length[order])],
            rtol=1e-4,
            atol=1e-5,
        )

    def test_causal_as_it_says(self, kind: type[Mixer], config: Any) -> None:
        mixer = build(kind, config)
        hidden, _, state = inputs(mixer)
        length = torch.full((WINDOWS,), ROWS)
        row = 6
        other = hidden.clone()
        other[:, row] += 1.0
        before, after = mixer(hidden, length, state), mixer(other, length, state)
        changed = (before - after).abs().amax((0, 2)) > 1e-7
        assert changed[row]
        assert bool(changed[:row].any()) is not mixer.causal

    def test_state_matters_and_none_is_zero(self, kind: type[Mixer], config: Any) -> None:
        mixer = build(kind, config)
        hidden, length, state = inputs(mixer)
        if state is None:
            assert mixer.state_shapes() == []
            return
        zero = [torch.zeros_like(tensor) for tensor in state]
        torch.testing.assert_close(mixer(hidden, length, None), mixer(hidden, length, zero))
        for index in range(len(state)):
            moved = [tensor + (1.0 if place == index else 0.0) for place, tensor in enumerate(zero)]
            difference = (mixer(hidden, length, moved) - mixer(hidden, length, zero)).abs().amax((1, 2))
            assert (difference > 0).all(), f"state {index} reaches no row of some window"

    def test_store_and_load(self, kind: type[Mixer], config: Any) -> None:
        mixer = build(kind, config)
        hidden, length, state = inputs(mixer)
        copy = kind(WIDTH, config).eval()
        copy.load_state_dict(mixer.state_dict())
        torch.testing.assert_close(mixer(hidden, length, state), copy(hidden, length, state), rtol=0, atol=0)
