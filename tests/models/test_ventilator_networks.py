"""The ventilator's first place: residual LSTM blocks, convolution-transformer blocks, and two heads."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from data.errors import InputError
from models.mixers.base import make_mixer
from models.mixers.conv_transformer import ConvolutionTransformer
from models.mixers.residual_lstm import ResidualLSTM
from models.networks.bilstm_two_heads import BiLSTMTwoHeads
from models.networks.ventilator_hybrid import VentilatorHybrid
from tests.batches import TASKS, make_batch, make_schema, perturb

ROWS = 9
LENGTH = torch.tensor([9, 1, 2, 6])


def hidden_rows(width: int) -> Tensor:
    return torch.randn(4, ROWS, width, generator=torch.Generator().manual_seed(2))


def test_residual_lstm_is_its_equation() -> None:
    """Window by window, cut to its length, with torch.nn.LSTM."""
    torch.manual_seed(0)
    mixer = ResidualLSTM(5, ResidualLSTM.Config(hidden=4, layers=2, feedforward=6)).eval()
    perturb(mixer)
    hidden = hidden_rows(5)
    state = [torch.randn(4, *shape) for shape in mixer.state_shapes()]
    assert len(state) == 2 * 2 * 2  # layers, directions, h and c
    found = mixer(hidden, LENGTH, state)
    for window, rows in enumerate(LENGTH.tolist()):
        own = [tensor[window] for tensor in state]
        x = mixer.project(hidden[window : window + 1, :rows])
        for layer in range(2):
            forward_h, forward_c, backward_h, backward_c = own[4 * layer : 4 * layer + 4]
            initial = torch.stack([forward_h, backward_h]), torch.stack([forward_c, backward_c])
            lstm = mixer.recurrent[layer].blocks[0]  # type: ignore[union-attr, index]
            mixed = lstm(x, tuple(kind[:, None] for kind in initial))[0]  # type: ignore[operator]
            feedforward = mixer.feedforward[layer]
            mixed = feedforward.narrow(feedforward.widen(mixed).relu())  # type: ignore[operator, union-attr]
            x = mixer.norms[layer](x + mixed)
        torch.testing.assert_close(found[window, :rows], x[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_convolution_transformer_is_its_equation(kernel: int) -> None:
    """Window by window, cut to its length; one shorter than the kernel is filled up with zeros."""
    torch.manual_seed(0)
    config = ConvolutionTransformer.Config(hidden=6, kernels=[kernel], heads=2)
    mixer = ConvolutionTransformer(6, config).eval()
    perturb(mixer)
    (block,) = mixer.blocks
    hidden = hidden_rows(6)
    found = mixer(hidden, LENGTH)
    for window, rows in enumerate(LENGTH.tolist()):
        x = hidden[window : window + 1, :rows].transpose(1, 2)
        filled = torch.cat([x, torch.zeros(1, 6, max(0, kernel - rows))], dim=2)
        places = block.convolution(filled)  # type: ignore[operator]
        assert places.shape[2] == max(rows, kernel) - kernel + 1
        mixed = block.encoder(places.transpose(1, 2)).transpose(1, 2)  # type: ignore[operator]
        restored = block.transpose(mixed)  # type: ignore[operator]
        assert restored.shape[2] == max(rows, kernel)
        expected = block.norm((x + restored[:, :, :rows]).transpose(1, 2))  # type: ignore[operator]
        torch.testing.assert_close(found[window, :rows], expected[0], rtol=1e-4, atol=1e-5)


def test_hybrid_in_its_published_size() -> None:
    schema = make_schema("sequence")
    network = VentilatorHybrid(schema, VentilatorHybrid.Config(hidden=256, heads=16))
    recurrent, convolutional = network.mixers
    assert isinstance(recurrent, ResidualLSTM)
    assert isinstance(convolutional, ConvolutionTransformer)
    maps = [(part.widen, part.narrow) for part in recurrent.feedforward]
    assert [(wide.in_features, wide.out_features, narrow.out_features) for wide, narrow in maps] == [  # type: ignore[union-attr]
        (512, 1024, 256)
    ] * 3
    assert [block.convolution.kernel_size for block in convolutional.blocks] == [(5,), (3,), (1,)]  # type: ignore[union-attr]
    assert {block.encoder.attention.heads for block in convolutional.blocks} == {16}  # type: ignore[union-attr]
    assert {block.encoder.widen.out_features for block in convolutional.blocks} == {1024}  # type: ignore[union-attr]
    assert isinstance(network.head[-1], nn.Linear)
    assert network.head[-1].in_features == 256
    perturb(network)
    states, added = network.static_state(make_batch(schema))
    assert states[0] is not None
    assert len(states[0]) == 3 * 2 * 2, "blocks, directions, h and c"
    assert all((tensor.std(0) > 0).all() for tensor in states[0])
    assert added[1] is not None, "blocks without a state are told the static metadata too"


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("switch", ["known_1", "category_1"])
def test_the_switch_decides_which_head_reads_a_row(task: str, switch: str) -> None:
    schema = make_schema(task, categories=(4, 3), targets=2)
    batch = make_batch(schema)
    torch.manual_seed(0)
    config = BiLSTMTwoHeads.Config(hidden=4, layers=1, static_width=4, switch=switch, threshold=0.2)
    network = BiLSTMTwoHeads(schema, config, outputs=3).eval()
    output = network(batch)
    last = network.head[-1]
    assert isinstance(last, nn.Linear)
    assert last.out_features == 2 * 2 * 3
    with torch.no_grad():
        last.weight[6:] = 0.0
        last.bias[6:] = torch.arange(6.0)
    second = batch.real[:, :, 1] > 0.2 if switch == "known_1" else batch.category[:, :, 1] == 2
    assert second[batch.used()].any()
    assert not second[batch.used()].all()
    other = network(batch)
    changed = (other != output).any(-1)
    assert torch.equal(changed, second & batch.used())
    assert (other[second & batch.used()] == torch.arange(6.0)).all()


def test_each_head_learns_from_its_own_rows() -> None:
    schema = make_schema("sequence")
    batch = make_batch(schema)
    torch.manual_seed(0)
    network = BiLSTMTwoHeads(schema, BiLSTMTwoHeads.Config(hidden=4, layers=1, switch="known_0"))
    second = batch.real[:, :, 0] > 0
    network(batch)[~second & batch.used()].sum().backward()
    last = network.head[-1]
    assert isinstance(last, nn.Linear)
    assert last.weight.grad is not None
    assert last.weight.grad[0].abs().max() > 0
    assert (last.weight.grad[1] == 0).all()


def test_both_heads_start_as_one_would() -> None:
    """So the switch changes nothing yet, and with add_last training starts from the naive forecast."""
    schema = make_schema()
    batch = make_batch(schema)
    outputs = []
    for switch in (None, "known_0"):
        torch.manual_seed(0)
        config = BiLSTMTwoHeads.Config(hidden=4, layers=1, switch=switch, add_last="last")
        outputs.append(BiLSTMTwoHeads(schema, config).eval()(batch))
    torch.testing.assert_close(outputs[1], outputs[0])


def test_without_a_switch_there_is_one_head() -> None:
    network = BiLSTMTwoHeads(make_schema(targets=2), BiLSTMTwoHeads.Config(hidden=4), outputs=3)
    assert isinstance(network.head[-1], nn.Linear)
    assert network.head[-1].out_features == 2 * 3


@pytest.mark.parametrize(
    ("switch", "message"),
    [
        ("known_3", "switch: unknown known column 'known_3'; did you mean 'known_"),
        ("past_only", "switch: unknown known column 'past_only'"),
        ("category_0", "the categorical column 'category_0' has 3 values; expected 2"),
    ],
)
def test_a_switch_is_a_known_column_of_two_values(switch: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        BiLSTMTwoHeads(make_schema(categories=(4, 3)), BiLSTMTwoHeads.Config(hidden=4, switch=switch))


def test_impossible_kernels() -> None:
    for kernels, said in (
        ([], r"kernels: .* expected at least one, each at least 1"),
        ([3, 0], r"kernels: found \[3, 0\], expected a whole number from 1 on"),
    ):
        with pytest.raises(InputError, match=said):
            make_mixer({"name": "conv_transformer", "kernels": kernels}, 4, "mixers[0]")
