"""Forget gates on given data: that they are the cells' own, and what is left by the closed forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from data.batch import SequenceBatch
from data.schema import InputSchema
from models.kernels.reference import EPSILON
from models.memory.closed_forms import (
    constant_reset_gate,
    constant_reset_retention,
    exponential_retention,
    power_law_retention,
    timescale,
)
from models.memory.forget_gates import LayerGates, forget_gates
from models.memory.retention import kept_from_start, kept_to_end, retention
from models.mixers.base import Mixer
from models.mixers.janet import JANETCell
from models.mixers.minlstm import MinLSTMCell
from models.mixers.plstm import PLSTMCell
from models.mixers.softplus_lstm import SoftplusLSTMCell
from models.network import NETWORKS, Network
from tests.batches import make_batch, make_schema, perturb, with_garbage

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
SHUT = -1e4
ROWS = 60
SCHEMA = make_schema("sequence", context=ROWS - 5, horizon=5)


def build(name: str, schema: InputSchema = SCHEMA, moved: bool = True, **settings: Any) -> Network:
    kind = NETWORKS.get(name)
    torch.manual_seed(0)
    network = kind(schema, kind.Config(**{"static_width": 8, "hidden": 6, "layers": 2, **settings}))
    return (perturb(network) if moved else network).eval()  # type: ignore[return-value]


def stack_of(mixer: str) -> Network:
    """Of a mixer that has no network of its own name."""
    kind = NETWORKS.get("stack")
    torch.manual_seed(0)
    mixers = [{"name": mixer, "hidden": 6, "layers": 2}]
    return perturb(kind(SCHEMA, kind.Config(mixers=mixers, static_width=8))).eval()  # type: ignore[return-value]


def mixer_output(network: Network, batch: SequenceBatch) -> Tensor:
    """What the stack's last mixer gives."""
    seen: list[Tensor] = []
    hook = network.mixers[-1].register_forward_hook(lambda mixer, given, output: seen.append(output))
    with torch.no_grad():
        network(batch)
    hook.remove()
    return seen[0]


def double(batch: SequenceBatch) -> SequenceBatch:
    fields = {name: field for name, field in batch._asdict().items() if field is not None}
    return batch._replace(
        **{name: field.double() for name, field in fields.items() if field.is_floating_point()}
    )


@pytest.mark.parametrize("name", ["lstm", "bilstm", "gru", "bigru"])
@pytest.mark.parametrize("plain", [True, False])
def test_recomputed_layers_are_the_mixer_s_own(name: str, plain: bool) -> None:
    """nn.LSTM hands no gates out; what they are worked out from has to end in the layers' own output."""
    network = build(name, **({} if plain else {"residual": True, "layer_norm": True}))
    batch = make_batch(SCHEMA, windows=5)
    layers = forget_gates(network, batch)
    directions = 2 if name.startswith("bi") else 1
    assert [layer.layer for layer in layers] == [
        f"mixers.0 layer {number}{' backward' if back else ''}"
        for number in (0, 1)
        for back in range(directions)
    ]
    mixer: Any = network.mixers[0]
    last = [_in_order(layer) for layer in layers[-directions:]]
    output = torch.cat(last, dim=2)
    if not plain:
        below = torch.cat([_in_order(layer) for layer in layers[:directions]], dim=2)
        entering = network.embedding(batch)
        output = mixer.joined(1, mixer.joined(0, entering, below), output)
    used = batch.used()
    torch.testing.assert_close(output[used], mixer_output(network, batch)[used], rtol=1e-5, atol=1e-6)


def _in_order(layer: LayerGates) -> Tensor:
    """Its output by row of the window."""
    if "backward" not in layer.layer:
        return layer.hidden
    output = layer.hidden.clone()
    for window, length in enumerate(layer.length.tolist()):
        output[window, :length] = layer.hidden[window, :length].flip(0)
    return output


def test_gates_of_an_lstm_make_its_cell() -> None:
    """c_t = f_t c_{t-1} + i_t g_t and h_t = o_t tanh(c_t), with this f and the other gates written out."""
    network = build("lstm", layers=1)
    batch = make_batch(SCHEMA, windows=3, even=True)
    (layer,) = forget_gates(network, batch)
    block = network.mixers[0].blocks[0]
    (states,), _ = network.static_state(batch)
    assert states is not None
    rows, hidden, cell = network.embedding(batch), *states
    assert cell.abs().max() > 1e-3
    for t in range(ROWS):
        total = nn.functional.linear(rows[:, t], block.weight_ih_l0, block.bias_ih_l0)
        total = total + nn.functional.linear(hidden, block.weight_hh_l0, block.bias_hh_l0)
        i, _, g, o = total.chunk(4, dim=1)
        cell = layer.log_forget[:, t].exp().float() * cell + i.sigmoid() * g.tanh()
        hidden = o.sigmoid() * cell.tanh()
        torch.testing.assert_close(hidden, layer.hidden[:, t], rtol=1e-4, atol=1e-5)


def test_gates_of_a_gru_make_its_state() -> None:
    network = build("gru", layers=1)
    batch = make_batch(SCHEMA, windows=3, even=True)
    (layer,) = forget_gates(network, batch)
    block = network.mixers[0].blocks[0]
    (states,), _ = network.static_state(batch)
    rows, hidden = network.embedding(batch), states[0]
    for t in range(ROWS):
        wide = nn.functional.linear(rows[:, t], block.weight_ih_l0, block.bias_ih_l0).chunk(3, dim=1)
        back = nn.functional.linear(hidden, block.weight_hh_l0, block.bias_hh_l0).chunk(3, dim=1)
        candidate = (wide[2] + (wide[0] + back[0]).sigmoid() * back[2]).tanh()
        keep = layer.log_forget[:, t].exp().float()
        hidden = (1 - keep) * candidate + keep * hidden
        torch.testing.assert_close(hidden, layer.hidden[:, t], rtol=1e-4, atol=1e-5)


def _cells(mixer: Mixer) -> list[nn.Module]:
    return [cell for cells in mixer.cells for cell in cells]  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["plstm", "biplstm", "janet", "minlstm", "softplus_lstm"])
def test_gates_of_cells_of_our_own_make_their_output(name: str) -> None:
    network = (build(name) if name in NETWORKS.names() else stack_of(name)).double()
    batch = double(make_batch(SCHEMA, windows=4))
    read: dict[str, tuple[Any, Tensor]] = {}
    hooks = [
        cell.register_forward_hook(lambda cell, given, output, key=key: read.update({key: (given, output)}))
        for key, cell in enumerate(_cells(network.mixers[0]))
    ]
    layers = forget_gates(network, batch)
    for hook in hooks:
        hook.remove()
    assert len(layers) == len(hooks)
    for key, (layer, cell) in enumerate(zip(layers, _cells(network.mixers[0]), strict=True)):
        (rows, *states), output = read[key]
        assert (layer.length == batch.length).all()
        _check_recurrence(cell, rows, states, layer.log_forget.exp(), output)


def _check_recurrence(cell: Any, rows: Tensor, states: list[Tensor], forget: Tensor, output: Tensor) -> None:
    """The cell's equations, row by row, with these forget gates instead of its own."""
    hidden = states[0]
    memory = states[1] if isinstance(cell, PLSTMCell | SoftplusLSTMCell) else None
    for t in range(rows.shape[1]):
        f = forget[:, t]
        if isinstance(cell, PLSTMCell):
            total = rows[:, t] @ cell.weight.T + hidden @ cell.recurrent.T + cell.bias
            _, o, c = total.chunk(3, dim=1)
            memory = f * memory + (1 - f) * c.tanh()
            hidden = o.sigmoid() * memory.tanh()
        elif isinstance(cell, SoftplusLSTMCell):
            o, i, _, g = (cell.input(rows[:, t]) + hidden @ cell.recurrent.T).chunk(4, dim=1)
            memory = f * memory + i.sigmoid() * nn.functional.softplus(g)
            hidden = o.sigmoid() * nn.functional.softplus(memory)
        elif isinstance(cell, JANETCell):
            total = cell.input(rows[:, t]) + hidden @ cell.recurrent.T
            s, c = total.chunk(2, dim=1)
            hidden = f * hidden + (1 - (s - cell.beta).sigmoid()) * c.tanh()
        else:
            assert isinstance(cell, MinLSTMCell)
            assert cell.positive
            c = cell.gates(rows[:, t]).chunk(3, dim=1)[2]
            positive = [torch.where(value >= 0, value + 0.5, value.sigmoid()) for value in (c, hidden)]
            hidden = f * (positive[1] if t == 0 else hidden) + (1 - f) * positive[0]
        torch.testing.assert_close(hidden, output[:, t], rtol=1e-9, atol=1e-9)


def _reset(network: Network, bias: float) -> None:
    """The same reset gate at every row, whatever is read; D_0 and the powers stay as they are."""
    for cell in _cells(network.mixers[0]):
        units = len(cell.raw_power)
        with torch.no_grad():
            cell.weight[:units] = 0.0
            cell.recurrent[:units] = 0.0
            cell.bias[:units] = bias


@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
@pytest.mark.parametrize("kernel", ["auto", "reference", "torch"])
def test_a_shut_reset_gate_is_a_power_law(precision: torch.dtype, kernel: str) -> None:
    """Of both layers, every unit with its own p, from a D_0 that static metadata has moved: to 1e-5."""
    network = build("plstm", kernel=kernel).to(precision)
    _reset(network, SHUT)
    batch = make_batch(SCHEMA, windows=4)
    batch = double(batch) if precision == torch.float64 else batch
    (states,), _ = network.static_state(batch)
    assert states is not None
    lag = np.arange(ROWS + 1)
    for number, layer in enumerate(forget_gates(network, batch)):
        cell = _cells(network.mixers[0])[number]
        clock = nn.functional.elu(states[3 * number + 2]).double().detach().numpy()
        assert np.abs(clock).max() > 0.01
        power = cell.raw_power.sigmoid().double().detach().numpy()
        assert power.min() < 0.4
        assert power.max() > 0.6
        measured = kept_from_start(layer.log_forget).detach().numpy()
        closed = power_law_retention(lag[None, :, None], power, clock[:, None, :], EPSILON)
        np.testing.assert_allclose(measured, closed, rtol=0.0, atol=1e-5)
        # The paper's own form has no epsilon; the cell's epsilon moves it by less than eps p H_L.
        paper = ((clock[:, None] + 1.0) / (clock[:, None] + lag[None, :, None] + 1.0)) ** power
        np.testing.assert_allclose(
            power_law_retention(lag[None, :, None], power, clock[:, None, :]), paper, rtol=1e-12
        )
        np.testing.assert_allclose(measured, paper, rtol=EPSILON * 8.0)


@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
@pytest.mark.parametrize("kernel", ["auto", "reference", "torch"])
def test_what_a_shut_reset_gate_leaves_in_the_cell_itself(precision: torch.dtype, kernel: str) -> None:
    """Nothing is written and the output gate is open: h_L = tanh(c_0 prod f), of the kernel's own f."""
    network = build("plstm", kernel=kernel).to(precision)
    _reset(network, SHUT)
    read: list[tuple[Any, Tensor]] = []
    for cell in _cells(network.mixers[0]):
        units = len(cell.raw_power)
        with torch.no_grad():
            cell.weight[units:] = 0.0
            cell.recurrent[units:] = 0.0
            cell.bias[units : 2 * units] = -SHUT  # o = 1
            cell.bias[2 * units :] = 0.0  # tanh(0) is what is written
        cell.register_forward_hook(lambda cell, given, output: read.append((given, output)))
    batch = make_batch(SCHEMA, windows=4, even=True)
    with torch.no_grad():
        network(double(batch) if precision == torch.float64 else batch)
    assert len(read) == 2
    for cell, ((_, _, memory, clock), output) in zip(_cells(network.mixers[0]), read, strict=True):
        assert memory.abs().min() > 1e-3
        left = (output.double().atanh() / memory.double()[:, None]).numpy()
        power = cell.raw_power.sigmoid().double().detach().numpy()
        start = nn.functional.elu(clock).double().numpy()[:, None]
        closed = power_law_retention(np.arange(1, ROWS + 1)[None, :, None], power, start, EPSILON)
        np.testing.assert_allclose(left, closed, rtol=0.0, atol=1e-5)


def test_without_epsilon_the_measured_product_is_the_paper_s(monkeypatch: pytest.MonkeyPatch) -> None:
    """((D_0 + 1) / (D_0 + L + 1))^p to 1e-5, where nothing but the reset gate is held at 0."""
    monkeypatch.setattr("models.memory.forget_gates.EPSILON", 0.0)
    for precision in (torch.float32, torch.float64):
        network = build("plstm").to(precision)
        _reset(network, SHUT)
        batch = make_batch(SCHEMA, windows=4)
        batch = double(batch) if precision == torch.float64 else batch
        (states,), _ = network.static_state(batch)
        for number, layer in enumerate(forget_gates(network, batch)):
            clock = nn.functional.elu(states[3 * number + 2]).double().detach().numpy()[:, None]
            power = _cells(network.mixers[0])[number].raw_power.sigmoid().double().detach().numpy()
            lag = np.arange(ROWS + 1)[None, :, None]
            paper = ((clock + 1.0) / (clock + lag + 1.0)) ** power
            np.testing.assert_allclose(kept_from_start(layer.log_forget).detach(), paper, rtol=0.0, atol=1e-5)


def test_power_one_is_a_running_mean() -> None:
    """p = 1, r = 0: c_L is the mean of c_0 and L values of tanh(.), so each of them keeps 1 / (L + 1)."""
    lag = np.arange(1, 200)
    np.testing.assert_allclose(power_law_retention(lag, 1.0), 1.0 / (lag + 1.0), rtol=1e-12)
    network = build("plstm", layers=1, static_state="none")
    _reset(network, SHUT)
    cell = _cells(network.mixers[0])[0]
    with torch.no_grad():
        cell.raw_power.fill_(20.0)
    batch = make_batch(SCHEMA, windows=3, even=True)
    (layer,) = forget_gates(network, batch)
    forget = layer.log_forget
    # What row s wrote, (1 - f_s) tanh_s, is left as (1 - f_s) f_{s+1} .. f_L at the end: as much of each.
    end = kept_to_end(forget, layer.length)[:, 1:].flip(1)  # [:, s] = f_s .. f_L
    after = torch.cat([end[:, 1:], torch.ones_like(end[:, :1])], dim=1)
    written = -torch.expm1(forget) * after
    torch.testing.assert_close(written, torch.full_like(written, 1.0 / (ROWS + 1)), rtol=0.01, atol=0.0)


@pytest.mark.parametrize("reset", [0.02, 0.2, 0.5])
def test_a_constant_reset_ends_in_an_exponential(reset: float) -> None:
    """A power law up to about 1 / r rows; beyond, f stands at about (1 - r)^p."""
    network = build("plstm", layers=1, static_state="none")
    _reset(network, float(np.log(reset / (1 - reset))))
    batch = make_batch(make_schema("sequence", context=300, horizon=5), windows=2, even=True)
    (layer,) = forget_gates(network, batch)
    power = _cells(network.mixers[0])[0].raw_power.sigmoid().double().detach().numpy()
    measured = kept_from_start(layer.log_forget)[0].detach().numpy()
    lag = np.arange(len(measured))
    for unit, p in enumerate(power):
        closed = constant_reset_retention(lag, p, reset)
        np.testing.assert_allclose(measured[:, unit], closed, rtol=1e-5, atol=1e-5)
        settled = layer.log_forget[0, int(10 / reset) % 300 :, unit].exp() if reset > 0.1 else None
        limit = constant_reset_gate(p, reset)
        assert limit == pytest.approx((1 - reset) ** p, rel=5e-3)
        if settled is not None:
            np.testing.assert_allclose(settled.detach(), limit, rtol=1e-5)
    early = int(0.2 / reset)
    if early > 3:
        law = power_law_retention(lag[:early], power[0], epsilon=EPSILON)
        np.testing.assert_allclose(measured[:early, 0], law, rtol=0.15)


@pytest.mark.parametrize("name", ["lstm", "bilstm", "janet"])
def test_a_constant_gate_is_an_exponential(name: str) -> None:
    """f^L, with a bias of its own a unit; the timescale is -1 / ln f."""
    network = build(name, layers=1)
    units = 6
    bias = torch.linspace(-1.0, 6.0, units)
    forget = bias.sigmoid().double().numpy()
    with torch.no_grad():
        if name == "janet":
            cell = _cells(network.mixers[0])[0]
            cell.input.weight[:units] = 0.0
            cell.recurrent[:units] = 0.0
            cell.input.bias[:units] = bias
        else:
            for key, parameter in network.mixers[0].blocks[0].named_parameters():
                parameter[units : 2 * units] = bias if key.startswith("bias_ih") else 0.0
    batches = [make_batch(SCHEMA, windows=6), make_batch(SCHEMA, windows=3, seed=1)]
    full = sum(int((batch.length == ROWS).sum()) for batch in batches)
    for layer in retention(network, batches):
        assert len(layer.kept) == ROWS + 1
        assert layer.windows[0] == 9
        assert layer.windows[-1] == full
        closed = exponential_retention(layer.lag[:, None], forget)
        np.testing.assert_allclose(layer.kept, closed, rtol=1e-5)
        np.testing.assert_allclose(layer.mean_forget, forget, rtol=1e-5)
        np.testing.assert_allclose(layer.timescale, -1.0 / np.log(forget), rtol=1e-4)


@pytest.mark.parametrize("name", ["lstm", "bilstm", "plstm", "biplstm", "janet"])
def test_padding_counts_for_nothing(name: str) -> None:
    network = build(name)
    batch = make_batch(SCHEMA, windows=6)
    first, second = retention(network, [batch]), retention(network, [with_garbage(batch)])
    alone = [retention(network, [batch.select(torch.tensor([window]))]) for window in range(6)]
    for place, (one, other) in enumerate(zip(first, second, strict=True)):
        np.testing.assert_array_equal(one.kept, other.kept)
        np.testing.assert_array_equal(one.mean_forget, other.mean_forget)
        lengths = batch.length.numpy()
        single = np.stack([windows[place].mean_forget for windows in alone])
        np.testing.assert_allclose(
            one.mean_forget, (single * lengths[:, None]).sum(0) / lengths.sum(), rtol=1e-5
        )


def test_dilated_layers_count_rows() -> None:
    """A step of a layer of dilation d is d rows; each chain of rows has the length of its own."""
    kind = NETWORKS.get("stack")
    entry = {"name": "dilated_lstm", "hidden": 5, "dilations": [[1, 4], [24]]}
    torch.manual_seed(0)
    network = perturb(kind(SCHEMA, kind.Config(mixers=[entry], static_width=8))).eval()
    batch = make_batch(SCHEMA, windows=5)
    layers = forget_gates(network, batch)  # type: ignore[arg-type]
    assert [layer.stride for layer in layers] == [1, 4, 24]
    assert [int(layer.length.sum()) for layer in layers] == [int(batch.length.sum())] * 3
    found = retention(network, [batch])  # type: ignore[arg-type]
    assert found[1].lag[-1] == 4 * (ROWS // 4)
    again = retention(network, [with_garbage(batch)])  # type: ignore[arg-type]
    for one, other in zip(found, again, strict=True):
        np.testing.assert_array_equal(one.kept, other.kept)


@pytest.mark.parametrize("name", ["deepar", "seq2seq_attention", "tft_hybrid", "es_rnn", "ventilator_hybrid"])
def test_layers_inside_of_other_networks(name: str) -> None:
    kind = NETWORKS.get(name)
    schema = make_schema(kind.tasks[-1])
    torch.manual_seed(0)
    network = kind(schema, kind.small()).eval()
    batch = make_batch(schema, windows=5, even=True)
    with torch.no_grad():
        before = network(batch)
    found = retention(network, [batch])
    assert found
    for layer in found:
        assert (layer.kept[0] == 1.0).all()
        # chains of a dilated layer may differ by a step, so that means of two lags are over other chains
        same = np.diff(layer.windows) == 0
        assert same.any()
        assert (np.diff(layer.kept, axis=0)[same] <= 1e-12).all()
        assert ((layer.mean_forget > 0) & (layer.mean_forget < 1)).all()
    with torch.no_grad():
        torch.testing.assert_close(network(batch), before, rtol=0, atol=0)
    assert not any("forward" in vars(module) or "carry" in vars(module) for module in network.modules())


def test_networks_without_such_a_gate() -> None:
    assert retention(build("rnn"), [make_batch(SCHEMA)]) == []
    assert retention(build("tcn"), [make_batch(SCHEMA)]) == []


def test_a_gate_that_keeps_all_has_no_end() -> None:
    np.testing.assert_allclose(timescale(np.array([0.0, -0.0, -0.5])), [np.inf, np.inf, 1 / np.log(2)])
