"""TCN and convolution blocks: what a row sees."""

from __future__ import annotations

import pytest
import torch

from data.errors import InputError
from models.mixers.base import make_mixer
from models.mixers.conv import Convolution
from models.mixers.tcn import TCN, levels_to_cover, receptive_field
from models.networks.tcn import TCNNetwork
from tests.batches import make_batch, make_schema


def ones(mixer: TCN) -> TCN:
    """All effective weights one, all biases zero."""
    with torch.no_grad():
        for name, parameter in mixer.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
            elif name.endswith("original0"):  # the magnitude: the norm of a filter of ones
                other = dict(mixer.named_parameters())[name.replace("original0", "original1")]
                parameter.fill_(other[0].numel() ** 0.5)
            else:
                parameter.fill_(1.0)
    return mixer.eval()


@pytest.mark.parametrize("kernel", [2, 3, 5])
@pytest.mark.parametrize("levels", [1, 2, 4])
@pytest.mark.parametrize("causal", [True, False])
def test_receptive_field_covers_every_row_and_no_more(kernel: int, levels: int, causal: bool) -> None:
    """An impulse reaches every row of the receptive field: with weights of one nothing cancels."""
    reach = receptive_field(levels, kernel)
    rows = 2 * reach + 5
    place = reach + 1
    mixer = ones(TCN(1, TCN.Config(hidden=2, levels=levels, kernel=kernel, causal=causal)))
    hidden = torch.zeros(1, rows, 1)
    hidden[0, place] = 1.0
    seen = torch.nonzero(mixer(hidden, torch.tensor([rows]))[0, :, 0] > 0)[:, 0].tolist()
    behind = (
        0
        if causal
        else 2 * sum(2**level * (kernel - 1) - 2**level * (kernel - 1) // 2 for level in range(levels))
    )
    assert seen == list(range(place - behind, place - behind + reach))
    if causal:
        assert seen[0] == place


def test_levels_to_cover() -> None:
    for rows in (2, 5, 80, 216, 1000):
        for kernel in (2, 3, 7):
            levels = levels_to_cover(rows, kernel)
            assert receptive_field(levels, kernel) >= rows
            assert levels == 1 or receptive_field(levels - 1, kernel) < rows


@pytest.mark.parametrize("centred", [False, True])
def test_by_itself_the_network_sees_the_whole_window(centred: bool) -> None:
    schema = make_schema("horizon", context=40, horizon=9)
    batch = make_batch(schema, even=True)
    torch.manual_seed(0)
    network = TCNNetwork(schema, TCNNetwork.Config(hidden=24, skip=False, centred=centred)).eval().double()
    real = batch.real.double()
    real.requires_grad_()
    static = batch.static_real.double()
    network(batch._replace(real=real, static_real=static))[:, -1].sum().backward()
    assert real.grad is not None
    assert (real.grad[:, 0].abs().amax(-1) > 0).all()


def test_impossible_settings() -> None:
    with pytest.raises(InputError, match="kernel=1"):
        make_mixer({"name": "tcn", "kernel": 1}, 3, "mixers[0]")


@pytest.mark.parametrize("kernel", [1, 4, 5])
def test_a_centred_convolution_sees_equally_far_on_both_sides(kernel: int) -> None:
    torch.manual_seed(0)
    mixer = Convolution(3, Convolution.Config(hidden=4, kernel=kernel)).eval()
    hidden = torch.randn(1, 21, 3)
    other = hidden.clone()
    other[0, 10] += 1.0
    length = torch.tensor([21])
    changed = torch.nonzero((mixer(hidden, length) - mixer(other, length)).abs().amax((0, 2)) > 0)[:, 0]
    ahead, behind = (kernel - 1) // 2, kernel - 1 - (kernel - 1) // 2
    assert changed.tolist() == list(range(10 - behind, 10 + ahead + 1))
