"""WaveNet: the paper's equation row by row, what a row sees, and what follows the convolutions."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from data.errors import InputError
from models.mixers.base import make_mixer
from models.mixers.tcn import receptive_field
from models.mixers.wavenet import WaveNet
from models.networks.convolution import CNNLSTMNetwork, WaveNetNetwork
from tests.batches import make_batch, make_schema, perturb


def row_by_row(mixer: WaveNet, hidden: Tensor) -> Tensor:
    """Equation 2 of van den Oord et al. 2016 and figure 4 for one window (L, width), nothing batched."""
    rows, channels = hidden.shape[0], mixer.config.hidden
    x = [mixer.project.weight @ row + mixer.project.bias for row in hidden]
    total = [torch.zeros(mixer.output.in_features, dtype=hidden.dtype) for _ in range(rows)]
    for block in mixer.blocks:
        weight, bias = block.convolution.weight, block.convolution.bias  # (2 channels, channels, kernel)
        dilation, kernel = block.convolution.dilation[0], block.convolution.kernel_size[0]
        ahead = 0 if mixer.causal else (kernel - 1) * dilation - (kernel - 1) * dilation // 2
        after = []
        for t in range(rows):
            both = bias.clone()
            for place in range(kernel):
                source = t + ahead - (kernel - 1 - place) * dilation
                if 0 <= source < rows:
                    both = both + weight[:, :, place] @ x[source]
            z = torch.tanh(both[:channels]) * torch.sigmoid(both[channels:])
            out = block.after.weight[:, :, 0] @ z + block.after.bias  # skip, then residual
            total[t] = total[t] + out[: mixer.output.in_features]
            residual = out[mixer.output.in_features :]
            after.append(x[t] + residual if len(residual) else x[t])
        x = after
    return torch.stack([mixer.output.weight @ row.relu() + mixer.output.bias for row in total])


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("kernel", [2, 3])
def test_equals_the_paper_s_equations(causal: bool, kernel: int) -> None:
    torch.manual_seed(0)
    config = WaveNet.Config(hidden=4, skip=5, levels=2, stacks=2, kernel=kernel, causal=causal)
    mixer = WaveNet(3, config).double().eval()
    perturb(mixer)
    hidden = torch.randn(2, 9, 3, dtype=torch.float64)
    output = mixer(hidden, torch.tensor([9, 6]))
    torch.testing.assert_close(output[0], row_by_row(mixer, hidden[0]))
    torch.testing.assert_close(output[1, :6], row_by_row(mixer, hidden[1, :6]))


@pytest.mark.parametrize(("kernel", "levels", "stacks"), [(2, 1, 1), (2, 4, 1), (3, 3, 1), (2, 3, 2)])
def test_receptive_field(kernel: int, levels: int, stacks: int) -> None:
    """A row sees 1 + stacks (k - 1) (2^n - 1) rows back and no more."""
    reach = 1 + stacks * (receptive_field(levels, kernel, convolutions=1) - 1)
    torch.manual_seed(0)
    config = WaveNet.Config(hidden=12, levels=levels, stacks=stacks, kernel=kernel)
    mixer = WaveNet(2, config).double()
    hidden = torch.randn(1, reach + 6, 2, dtype=torch.float64, requires_grad=True)
    mixer(hidden, torch.tensor([reach + 6]))[0, -1].square().sum().backward()
    assert hidden.grad is not None
    seen = hidden.grad[0].abs().amax(1) > 0
    assert seen.tolist() == [False] * 6 + [True] * reach


@pytest.mark.parametrize("centred", [False, True])
def test_alone_it_sees_the_whole_window(centred: bool) -> None:
    schema = make_schema("horizon", context=40, horizon=9)
    batch = make_batch(schema, even=True)
    torch.manual_seed(0)
    config = WaveNetNetwork.Config(channels=24, recurrent="none", skip=False, centred=centred)
    network = WaveNetNetwork(schema, config).eval().double()
    real = batch.real.double().requires_grad_()
    network(batch._replace(real=real, static_real=batch.static_real.double()))[:, -1].sum().backward()
    assert real.grad is not None
    assert (real.grad[:, 0].abs().amax(-1) > 0).all()


@pytest.mark.parametrize(
    ("kind", "settings", "names", "causal"),
    [
        (WaveNetNetwork, {"recurrent": "none"}, ["WaveNet"], False),
        (WaveNetNetwork, {"recurrent": "none", "centred": False}, ["WaveNet"], True),
        (WaveNetNetwork, {"recurrent": "lstm", "centred": False}, ["WaveNet", "LSTM"], True),
        (WaveNetNetwork, {}, ["WaveNet", "LSTM"], False),
        (CNNLSTMNetwork, {}, ["Convolution", "LSTM"], False),
        (CNNLSTMNetwork, {"centred": False}, ["Convolution", "LSTM"], False),
        (CNNLSTMNetwork, {"centred": False, "recurrent": "lstm"}, ["Convolution", "LSTM"], True),
    ],
)
def test_what_follows_the_convolutions(
    kind: type[WaveNetNetwork | CNNLSTMNetwork], settings: dict[str, object], names: list[str], causal: bool
) -> None:
    network = kind(make_schema(), kind.Config(**settings))
    assert [type(mixer).__name__ for mixer in network.mixers] == names
    assert network.is_causal() is causal
    if len(names) == 2:
        assert network.mixers[1].directions == (1 if settings.get("recurrent") == "lstm" else 2)


def test_cnn_lstm_is_a_stack_that_one_could_write_out() -> None:
    network = CNNLSTMNetwork(make_schema(), CNNLSTMNetwork.Config(channels=8, layers=3, hidden=5))
    entries = network.mixer_entries(network.schema, network.config)
    assert [entry["name"] for entry in entries] == ["conv", "lstm"]
    assert len(network.mixers[0].blocks) == 3
    assert network.mixers[1].width_out == 2 * 5


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"kernel": 1}, "wavenet: kernel="),
        ({"levels": 0}, "wavenet.levels: found 0, expected a whole number from 1 on"),
        ({"stacks": 0}, "wavenet.stacks: found 0, expected a whole number from 1 on"),
    ],
)
def test_impossible_settings(settings: dict[str, int], said: str) -> None:
    with pytest.raises(InputError, match=said):
        make_mixer({"name": "wavenet", **settings}, 3, "mixers[0]")


def test_only_an_lstm_can_follow() -> None:
    with pytest.raises(InputError, match="unknown recurrent 'bilstn'; did you mean 'bilstm'"):
        WaveNetNetwork(make_schema(), WaveNetNetwork.Config(recurrent="bilstn"))
    with pytest.raises(InputError, match="unknown recurrent 'none'"):
        CNNLSTMNetwork(make_schema(), CNNLSTMNetwork.Config(recurrent="none"))
