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


def test_spatial_dropout_drops_whole_channels_of_a_window() -> None:
    """Section 3.3 of Bai et al. 2018; plain dropout, as in their code, drops single values."""
    torch.manual_seed(0)
    ones_of = torch.ones(3, 8, 20)
    for spatial in (True, False):
        config = TCN.Config(hidden=8, levels=1, dropout=0.5, spatial_dropout=spatial)
        dropped = TCN(2, config).train().blocks[0].dropout(ones_of) == 0.0
        whole = dropped.all(-1) | ~dropped.any(-1)
        assert dropped.any()
        assert bool(whole.all()) is spatial


def test_a_temporal_block_is_the_paper_s() -> None:
    """relu(x + F(x)), F twice a causal dilated convolution with ReLU, written out row by row."""
    torch.manual_seed(0)
    mixer = TCN(3, TCN.Config(hidden=4, levels=2, kernel=3)).double().eval()
    hidden = torch.randn(1, 9, 3, dtype=torch.float64)
    expected = hidden[0]  # (L, width)
    for level, block in enumerate(mixer.blocks):
        mixed = expected
        for convolution in (block.first, block.second):
            rows = []
            for t in range(9):
                row = convolution.bias.clone()
                for i in range(3):
                    if t - 2**level * i >= 0:  # f(0) stands last in the weight
                        row = row + convolution.weight[:, :, 2 - i] @ mixed[t - 2**level * i]
                rows.append(row.relu())
            mixed = torch.stack(rows)
        shortcut = expected if level else expected @ block.shortcut.weight[:, :, 0].T + block.shortcut.bias
        expected = (mixed + shortcut).relu()
    torch.testing.assert_close(mixer(hidden, torch.tensor([9]))[0], expected)


def test_every_convolution_is_weight_normalised() -> None:
    """w = g v / |v|: another length of v changes nothing."""
    torch.manual_seed(0)
    mixer = TCN(3, TCN.Config(hidden=4, levels=2)).eval()
    hidden, length = torch.randn(2, 9, 3), torch.tensor([9, 5])
    before = mixer(hidden, length)
    directions = [p for name, p in mixer.named_parameters() if name.endswith("original1")]
    assert len(directions) == 2 * 2
    with torch.no_grad():
        for direction in directions:
            direction *= 3.0
    torch.testing.assert_close(mixer(hidden, length), before)
