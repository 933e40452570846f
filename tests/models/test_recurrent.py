"""RNN mixers: starting values, and that the fast ways of running equal the packed one."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from data.errors import InputError
from models.mixers.base import MIXERS, make_mixer
from models.mixers.fused_layer import run_recurrent
from models.mixers.rnn import GRU, LSTM, RNN, Recurrent
from models.network import NETWORKS
from models.networks.recurrent import GatedNetwork, RecurrentNetwork
from tests.batches import make_schema, perturb


@pytest.mark.parametrize("cell", [nn.RNN, nn.GRU, nn.LSTM])
@pytest.mark.parametrize("lengths", [[9, 1, 4], [9, 9, 9], [3, 3, 3]])
def test_each_direction_by_itself_equals_packing(cell: type[nn.RNNBase], lengths: list[int]) -> None:
    torch.manual_seed(0)
    block = cell(4, 5, 3, batch_first=True, bidirectional=True)  # type: ignore[arg-type]
    hidden, length = torch.randn(3, 9, 4), torch.tensor(lengths)
    state = [torch.randn(6, 3, 5) for _ in range(2 if cell is nn.LSTM else 1)]
    used = torch.arange(9) < length[:, None]
    ours = run_recurrent(block, hidden, length, state, even=False, packed=False)
    packed = run_recurrent(block, hidden, length, state, even=False, packed=True)
    torch.testing.assert_close(ours[used], packed[used])
    if lengths[0] == lengths[1] == 9:
        torch.testing.assert_close(ours, run_recurrent(block, hidden, length, state, even=True))
    gradients = []
    for output in (ours, packed):
        block.zero_grad()
        output[used].square().sum().backward()
        gradients.append([parameter.grad.clone() for parameter in block.parameters()])  # type: ignore[union-attr]
    torch.testing.assert_close(gradients[0], gradients[1])


def test_states_stand_by_layer_direction_and_kind() -> None:
    """State number 4 of a bidirectional LSTM is h of layer 1, forwards."""
    mixer = LSTM(3, LSTM.Config(hidden=4, layers=2, bidirectional=True)).eval()
    state = [torch.zeros(1, 4) for _ in mixer.state_shapes()]
    assert len(state) == 2 * 2 * 2
    hidden, length = torch.randn(1, 6, 3), torch.tensor([6])
    state[4] += 1.0
    h0 = torch.zeros(4, 1, 4)
    h0[2] = 1.0
    expected = mixer.blocks[0](hidden, (h0, torch.zeros(4, 1, 4)))[0]
    torch.testing.assert_close(mixer(hidden, length, state), expected)


@pytest.mark.parametrize(("separate", "bidirectional"), [(False, True), (True, False), (True, True)])
def test_forget_bias_is_the_sum_of_both_vectors(separate: bool, bidirectional: bool) -> None:
    config = LSTM.Config(hidden=4, layers=2, residual=separate, bidirectional=bidirectional, forget_bias=1.0)
    mixer = LSTM(3, config)
    count = 0
    for block in mixer.blocks:
        parameters = dict(block.named_parameters())
        for name in [name for name in parameters if name.startswith("bias_ih")]:
            total = parameters[name] + parameters[name.replace("_ih", "_hh")]
            expected = torch.tensor([0.0, 1.0, 0.0, 0.0]).repeat_interleave(4)  # i, f, g, o
            torch.testing.assert_close(total.detach(), expected)
            count += 1
    assert count == 2 * (1 + bidirectional)


def test_recurrent_weights_start_orthogonal_gate_by_gate() -> None:
    mixer = GRU(3, GRU.Config(hidden=6, layers=1))
    for gate in mixer.blocks[0].weight_hh_l0.detach().split(6):  # type: ignore[operator]
        torch.testing.assert_close(gate @ gate.T, torch.eye(6), rtol=0, atol=1e-5)


def test_chrono_start() -> None:
    """b_f = log U(1, T - 1), b_i = -b_f; a GRU's z keeps the past."""
    lstm = LSTM(3, LSTM.Config(hidden=500, layers=1, chrono=101))
    i, f, g, o = lstm.blocks[0].bias_ih_l0.detach().split(500)  # type: ignore[operator]
    torch.testing.assert_close(i, -f)
    assert f.exp().min() >= 1.0
    assert f.exp().max() <= 100.0
    assert abs(float(f.exp().mean()) - 50.5) < 5.0
    assert g.abs().max() == o.abs().max() == 0.0
    gru = GRU(3, GRU.Config(hidden=500, layers=1, chrono=101))
    r, z, n = gru.blocks[0].bias_ih_l0.detach().split(500)  # type: ignore[operator]
    assert z.min() >= 0.0
    assert r.abs().max() == n.abs().max() == 0.0


@pytest.mark.parametrize(("name", "keep"), [("gru", 1), ("lstm", 1)])
def test_the_gate_that_keeps_the_past_is_the_one_that_is_biased(name: str, keep: int) -> None:
    """With a huge bias on it the initial state survives; without, it is gone after a few rows."""
    hidden, length = torch.zeros(1, 30, 2), torch.tensor([30])

    def kept(bias: float) -> float:
        mixer: Recurrent = MIXERS.get(name)(2, MIXERS.get(name).Config(hidden=3, layers=1, forget_bias=bias))
        state = [torch.full((1, 3), 0.5) for _ in mixer.state_shapes()]
        zero = [torch.zeros(1, 3) for _ in state]
        return float((mixer(hidden, length, state) - mixer(hidden, length, zero))[0, -1].abs().max().detach())

    torch.manual_seed(0)
    assert kept(30.0) > 0.01
    assert kept(-30.0) < 1e-4


@pytest.mark.parametrize("settings", [{"chrono": 2}, {"chrono": -1}])
def test_chrono_needs_rows(settings: dict[str, int]) -> None:
    with pytest.raises(InputError, match="chrono"):
        make_mixer({"name": "lstm", **settings}, 3, "mixers[0]")


def test_chrono_needs_gates() -> None:
    with pytest.raises(InputError, match=r"mixers\[0\].rnn: unknown setting 'chrono'"):
        make_mixer({"name": "rnn", "chrono": 100}, 3, "mixers[0]")


def test_dropout_acts_between_layers_in_training_only_whatever_the_lengths() -> None:
    torch.manual_seed(0)
    mixer = LSTM(3, LSTM.Config(hidden=8, layers=2, bidirectional=True, dropout=0.5))
    perturb(mixer)
    hidden = torch.randn(2, 6, 3)
    for length in (torch.tensor([6, 6]), torch.tensor([6, 3])):
        mixer.train()
        assert not torch.equal(mixer(hidden, length), mixer(hidden, length))
        mixer.eval()
        torch.testing.assert_close(mixer(hidden, length), mixer(hidden, length), rtol=0, atol=0)


@pytest.mark.parametrize("kind", [RNN, GRU, LSTM])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_residual_layers_are_added_to_their_input(kind: type[Recurrent], bidirectional: bool) -> None:
    """x <- norm(W x + layer(x)), W only where the width changes, from PyTorch's own modules."""
    torch.manual_seed(0)
    config = kind.Config(hidden=4, layers=3, bidirectional=bidirectional, residual=True, layer_norm=True)
    mixer = kind(3, config).eval()
    hidden, length = torch.randn(2, 7, 3), torch.tensor([7, 7])
    expected = hidden
    for layer, (block, norm) in enumerate(zip(mixer.blocks, mixer.norms, strict=True)):
        shortcut = expected if layer else expected @ mixer.shortcuts[0].weight.T  # type: ignore[union-attr]
        expected = norm(shortcut + block(expected)[0])
    torch.testing.assert_close(mixer(hidden, length), expected)
    assert [type(shortcut) for shortcut in mixer.shortcuts] == [nn.Linear, nn.Identity, nn.Identity]


def test_an_elman_network_s_equation() -> None:
    torch.manual_seed(0)
    mixer = RNN(3, RNN.Config(hidden=4, layers=1)).eval()
    block = mixer.blocks[0]
    hidden, state = torch.randn(2, 6, 3), torch.randn(2, 4)
    h, rows = state, []
    for t in range(6):
        both = hidden[:, t] @ block.weight_ih_l0.T + h @ block.weight_hh_l0.T  # type: ignore[operator]
        h = torch.tanh(both + block.bias_ih_l0 + block.bias_hh_l0)  # type: ignore[operator]
        rows.append(h)
    torch.testing.assert_close(mixer(hidden, torch.tensor([6, 6]), [state]), torch.stack(rows, 1))


RECURRENT = [name for name, kind in NETWORKS.items() if issubclass(kind, RecurrentNetwork)]
GATED = [name for name, kind in NETWORKS.items() if issubclass(kind, GatedNetwork)]


def test_all_recurrent_networks_are_here() -> None:
    assert {"lstm", "bilstm", "gru", "bigru", "janet", "minlstm"} <= set(GATED)
    assert "rnn" in {*RECURRENT} - {*GATED}


@pytest.mark.parametrize("name", RECURRENT)
def test_settings_of_a_network_are_those_of_its_mixer(name: str) -> None:
    kind = NETWORKS.get(name)
    given = {"hidden": 5, "layers": 3, "dropout": 0.25, "residual": True, "layer_norm": True}
    network = kind(make_schema(), kind.Config(**given))
    [mixer] = network.mixers
    assert {key: getattr(mixer.config, key) for key in given} == given
    assert len(network.static_state.shapes[0]) == 3 * mixer.directions * mixer.kinds
    assert mixer.directions == (2 if name.startswith("bi") else 1)


@pytest.mark.parametrize("name", GATED)
def test_starts_of_a_network_are_those_of_its_mixer(name: str) -> None:
    kind, schema = NETWORKS.get(name), make_schema()
    [mixer] = kind(schema, kind.Config(forget_bias=2.5)).mixers
    assert (mixer.config.forget_bias, mixer.config.chrono) == (2.5, 0)
    for given, found in ((50, 50), (-1, schema.length)):
        [mixer] = kind(schema, kind.Config(chrono=given)).mixers
        assert mixer.config.chrono == found
    with pytest.raises(InputError, match="chrono=2; expected 0"):
        kind(schema, kind.Config(chrono=2))


@pytest.mark.parametrize("name", ["rnn", "janet", "minlstm"])
@pytest.mark.parametrize("both", [False, True])
def test_direction_is_a_setting(name: str, both: bool) -> None:
    kind = NETWORKS.get(name)
    network = kind(make_schema(), kind.Config(bidirectional=both))
    assert network.mixers[0].directions == 1 + both
    assert network.is_causal() is not both
