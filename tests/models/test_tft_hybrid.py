"""tft_hybrid: attention, which variables are selected where, what comes out, and that it learns."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from data.batch import SequenceBatch
from data.errors import InputError
from data.schema import InputSchema
from models.heads import QuantileHead
from models.interpretation import Interpretation, Looked
from models.layers.horizon_rows import from_origin, longest_horizon
from models.layers.interpretable_attention import InterpretableAttention
from models.layers.selectable import STEP, columns_of
from models.losses import L2, Pinball
from models.networks.tft_hybrid import GatedSkip, TFTHybrid
from models.static_state import MODES
from models.units import Units
from tests.batches import TASKS, make_batch, make_schema, perturb, with_garbage

SMALL = TFTHybrid.small()


def build(schema: InputSchema, outputs: int = 1, moved: bool = True, **settings: Any) -> TFTHybrid:
    torch.manual_seed(0)
    network = TFTHybrid(schema, replace(SMALL, **settings), outputs).eval()
    if moved:
        perturb(network)
    return network


def looked_at(network: TFTHybrid, *batches: SequenceBatch) -> Interpretation:
    looked = Looked()
    with torch.no_grad():
        for batch in batches:
            network.interpret(batch._replace(target=None), looked)
    found = looked.means()
    assert found is not None
    return found


def test_gated_skip_is_the_paper_s() -> None:
    """LayerNorm(x + sigma(W_4 y + b_4) (W_5 y + b_5)), equations 5 and 17."""
    part = perturb(GatedSkip(4).double())
    assert isinstance(part, GatedSkip)
    x, y = torch.randn(2, 3, 4, dtype=torch.float64), torch.randn(2, 3, 4, dtype=torch.float64)
    gate = y @ part.gate.weight.T + part.gate.bias
    added = x + gate[..., :4] * torch.sigmoid(gate[..., 4:])
    centred = added - added.mean(-1, keepdim=True)
    normed = centred / (centred.pow(2).mean(-1, keepdim=True) + part.norm.eps).sqrt()
    torch.testing.assert_close(part(x, y), normed * part.norm.weight + part.norm.bias)


def attention_and_rows() -> tuple[InterpretableAttention, Tensor, Tensor]:
    """Rows, and a causal mask in which the last two rows of the second window are padding."""
    torch.manual_seed(0)
    part = InterpretableAttention(6, 3).double().eval()
    rows = torch.randn(2, 5, 6, dtype=torch.float64)
    seen = (
        torch.ones(5, 5, dtype=torch.bool).tril()[None]
        & (torch.arange(5) < torch.tensor([[5], [3]]))[:, None]
    )
    return part, rows, seen


def test_attention_is_the_paper_s() -> None:
    """Equations 13 to 16 a head at a time: the mean of the heads' attention weighs values that they share."""
    part, rows, seen = attention_and_rows()
    value = rows @ part.value.weight.T + part.value.bias
    mean = torch.zeros(2, 5, 5, dtype=torch.float64)
    for head in range(3):
        own = slice(2 * head, 2 * head + 2)
        query = rows @ part.query.weight[own].T + part.query.bias[own]
        key = rows @ part.key.weight[own].T + part.key.bias[own]
        score = torch.einsum("bqd,bkd->bqk", query, key) / 2**0.5
        grown = score.exp() * seen
        mean += grown / grown.sum(-1, keepdim=True) / 3
    expected = mean @ value @ part.join.weight.T
    torch.testing.assert_close(part(rows, rows, seen), expected)
    torch.testing.assert_close(part.weights(rows, rows, seen), mean)


def test_attention_rows_sum_to_one_within_the_mask() -> None:
    part, rows, seen = attention_and_rows()
    weight = part.weights(rows[:, 2:], rows, seen[:, 2:])
    torch.testing.assert_close(weight.sum(-1), torch.ones(2, 3, dtype=torch.float64))
    assert (weight[~seen[:, 2:]] == 0).all()
    assert (weight[seen[:, 2:]] > 0).all()


def with_reach() -> InputSchema:
    """One known real, a lag of two rows, a past target; a past-only category beside a known one."""
    return make_schema("horizon", known=1)._replace(
        real=("known_0", "lag_2", "past.target_0", "missing.lag_2", "available.0", "available.2"),
        real_role=("known", "past", "past_target", "indicator", "indicator", "indicator"),
        real_reach=(None, 2, 0, 2, 0, 2),
        category_reach=(None, 0),
    )


def test_columns_to_select_from() -> None:
    columns = columns_of(with_reach())
    past = ("known_0", "lag_2", "past.target_0", "missing.lag_2", STEP, "category_0", "category_1")
    assert columns.name == past
    assert columns.known_name == ("known_0", "lag_2", "missing.lag_2", STEP, "category_0")
    assert columns.reach[1:3] == (2, 2)
    by_role = columns_of(with_reach()._replace(real_reach=(), category_reach=()))
    assert by_role.known_name == ("known_0", STEP, "category_0", "category_1")
    known_missing = make_schema("sequence", known=1, categories=())
    known_missing = known_missing._replace(
        real=("known_0", "missing.known_0"), real_role=("known", "indicator")
    )
    assert columns_of(known_missing).known_name == ("known_0", "missing.known_0", STEP)


def test_blanked_columns_get_no_weight() -> None:
    schema = with_reach()
    batch = make_batch(schema, windows=6)
    network = build(schema)
    found = network._enriched(batch)
    weight = found.known_weight
    lag = weight[..., network.columns.known_name.index("lag_2")]
    assert (lag[:, 2:] == 0).all()
    assert (lag[:, :2] > 0).all()
    torch.testing.assert_close(weight.sum(-1), torch.ones(weight.shape[:2]))
    assert found.past_weight is not None
    torch.testing.assert_close(found.past_weight.sum(-1), torch.ones(found.past_weight.shape[:2]))


@pytest.mark.parametrize("task", TASKS)
def test_interpretation_is_the_mean_over_rows_that_count(task: str) -> None:
    """Against a plain count over rows and pairs of rows; padding changes nothing; batches add up."""
    schema = make_schema(task)
    batch = make_batch(schema, windows=5)
    network = build(schema)
    found = looked_at(network, batch)
    again = looked_at(network, with_garbage(batch))
    assert found == again
    halves = looked_at(network, batch.select(torch.arange(2)), batch.select(torch.arange(2, 5)))
    for group, weights in found.variables.items():
        assert sum(weights.values()) == pytest.approx(1.0)
        assert halves.variables[group] == pytest.approx(weights, rel=1e-4)
    expected_groups = {"static", "known"} | ({"past"} if task == "horizon" else set())
    assert set(found.variables) == expected_groups
    assert list(found.variables["static"]) == [*schema.static_real, *schema.static_category]
    inner = network._enriched(batch)
    known = inner.known_weight.double()
    total, count = torch.zeros(known.shape[2], dtype=torch.float64), 0.0
    for window in range(5):
        for row in range(int(batch.origin[window]), int(batch.length[window])):
            much = float(batch.weight[window, row])
            total += much * known[window, row - int(batch.origin[window])].detach()
            count += much
    assert list(found.variables["known"].values()) == pytest.approx((total / count).tolist())
    if inner.past_weight is not None:
        total, count = torch.zeros(len(network.columns.name)), 0
        for window in range(5):
            for row in range(int(batch.origin[window])):
                total, count = total + inner.past_weight[window, row].detach(), count + 1
        assert list(found.variables["past"].values()) == pytest.approx((total / count).tolist(), rel=1e-4)
    sums: dict[str, dict[int, list[float]]] = {"lag": {}, "position": {}}
    asking = from_origin(inner.enriched, batch.origin, longest_horizon(batch))
    attention = network.attention.weights(
        asking, inner.enriched, network._seen(batch, asking.shape[1])
    ).detach()
    for window in range(5):
        for row in range(int(batch.origin[window]), int(batch.length[window])):
            for other in range(int(batch.length[window]) if task == "sequence" else row + 1):
                much = float(batch.weight[window, row])
                value = float(attention[window, row - int(batch.origin[window]), other])
                origin = int(batch.origin[window])
                for name, place in (("lag", row - other), ("position", other - origin)):
                    pair = sums[name].setdefault(place, [0.0, 0.0])
                    pair[0], pair[1] = pair[0] + much * value, pair[1] + much
    for name, places in sums.items():
        mean_by_place = {place: total / much for place, (total, much) in sorted(places.items()) if much > 0}
        assert found.attention[name].at == list(mean_by_place)
        assert found.attention[name].mean == pytest.approx(list(mean_by_place.values()), rel=1e-5)


def test_nothing_that_counts_is_no_interpretation() -> None:
    schema = make_schema("sequence", static_real=0, static_categories=())
    batch = make_batch(schema)
    looked = Looked()
    build(schema).interpret(batch._replace(weight=torch.zeros_like(batch.weight)), looked)
    assert looked.means() is None


def test_causal_if_both_layers_are() -> None:
    causal = {
        (task, local, attention): build(make_schema(task), local=local, attention=attention).is_causal()
        for task in TASKS
        for local in ("lstm", "position", "bilstm")
        for attention in ("auto", "causal", "full")
    }
    for (task, local, attention), found in causal.items():
        attends = attention == "causal" or (attention == "auto" and task == "horizon")
        assert found == (attends and local != "bilstm"), (task, local, attention)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("local", ["lstm", "bigru", "position"])
def test_static_metadata_enters_as_the_mode_says(local: str, mode: str) -> None:
    """Every mode trains every parameter; only those that read the metadata answer to it."""
    schema = make_schema("horizon")
    batch = make_batch(schema, windows=16)
    network = build(schema, local=local, static_state=mode)
    moved = batch._replace(static_real=batch.static_real + 1.0)
    reads = mode in ("state", "concatenate", "both")
    assert torch.equal(network(batch), network(moved)) != reads
    assert network.local.state_shapes() == [] or (network.static_state.to_state is not None) == (
        mode in ("state", "both")
    )
    L2(schema)(network.train()(batch)[..., None], batch).backward()
    idle = [name for name, value in network.named_parameters() if value.grad is None or not value.grad.any()]
    assert idle == []
    assert ("static" in looked_at(network.eval(), batch).variables) == reads


def test_three_quantiles_are_learnt_through_the_head() -> None:
    """y is 1 + noise of a known spread: its quantiles come out, and never cross."""
    levels = (0.1, 0.5, 0.9)
    schema = make_schema(
        "sequence", context=0, horizon=4, quantile=levels, static_categories=(), static_real=0
    )
    head = QuantileHead(schema)
    network = build(schema, head.outputs, moved=False).train()
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    loss = Pinball(schema)
    batch = make_batch(schema, windows=256, even=True)
    for step in range(150):
        noise = torch.randn(256, 4, 1, generator=generator)
        batch = make_batch(schema, windows=256, seed=step % 8, even=True)._replace(target=1.0 + noise)
        optimizer.zero_grad()
        loss(head(network(batch), Units.of(batch, schema)), batch).backward()
        optimizer.step()
    value = head.forecast(head(network.eval()(batch), Units.of(batch, schema)))[..., 1:]
    assert (value.diff(dim=-1) >= 0).all()
    expected = torch.tensor([1.0 - 1.2816, 1.0, 1.0 + 1.2816])
    torch.testing.assert_close(value.mean((0, 1, 2)), expected, rtol=0, atol=0.15)


@pytest.mark.parametrize("local", ["lstm", "position"])
def test_the_only_input_that_matters_gets_the_most_weight(local: str) -> None:
    """Five known inputs, of which the third is the target; also the paper's ablation trains."""
    schema = make_schema(
        "sequence", context=0, horizon=6, known=5, categories=(), static_categories=(), static_real=0
    )
    network = build(schema, local=local, moved=False).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    loss_function = L2(schema)
    first = loss = float("nan")
    for step in range(120):
        batch = make_batch(schema, windows=64, seed=step, even=True)
        batch = batch._replace(target=batch.real[:, :, 2:3].clone(), weight=torch.ones_like(batch.weight))
        optimizer.zero_grad()
        value = loss_function(network(batch)[..., None], batch)
        value.backward()
        optimizer.step()
        loss = float(value.detach())
        first = loss if step == 0 else first
    assert loss < 0.1 * first
    weights = looked_at(network.eval(), make_batch(schema, windows=64, seed=999)).variables["known"]
    assert max(weights, key=lambda name: weights[name]) == "known_2", weights


def test_attention_finds_the_row_that_is_repeated() -> None:
    """The target repeats noise of three rows earlier: most attention goes to lag 3."""
    schema = make_schema(
        "sequence", context=0, horizon=12, known=1, categories=(), static_categories=(), static_real=0
    )
    network = build(schema, local="position", attention="causal", width=16, moved=False).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    loss_function = L2(schema)
    for step in range(250):
        batch = make_batch(schema, windows=64, seed=step, even=True)
        target = batch.real[:, :, :1].roll(3, 1)
        weight = torch.ones_like(batch.weight)
        weight[:, :3] = 0.0
        batch = batch._replace(target=target, weight=weight)
        optimizer.zero_grad()
        loss_function(network(batch)[..., None], batch).backward()
        optimizer.step()
    curve = looked_at(network.eval(), batch).attention["lag"]
    assert curve.at[curve.mean.index(max(curve.mean))] == 3


def test_settings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="heads"):
        build(make_schema(), heads=3)
    with pytest.raises(InputError, match="attention"):
        build(make_schema(), attention="causla")
    with pytest.raises(InputError, match="did you mean 'concatenate'"):
        build(make_schema(), static_state="concatenated")
    with pytest.raises(InputError, match="add_last=last needs past targets"):
        build(make_schema("sequence"), add_last="last")


def test_training_may_start_from_the_last_value() -> None:
    """What the network adds to the naive forecast is 0 before it has learnt anything."""
    schema = make_schema("horizon", targets=2)
    batch = make_batch(schema)
    last = batch.real[torch.arange(4), batch.origin - 1][:, schema.reals("past_target")]
    expected = last[:, None].expand(-1, batch.rows, -1)[batch.asked]
    network = build(schema, add_last="last", moved=False)
    torch.testing.assert_close(network(batch)[batch.asked], expected, rtol=0, atol=0)
    moved = build(schema, add_last="last")
    plain = build(schema)
    plain.load_state_dict(moved.state_dict())
    torch.testing.assert_close((moved(batch) - plain(batch))[batch.asked], expected)
