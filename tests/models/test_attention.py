"""Attention, its layers and positions: against PyTorch's own and the papers' formulas."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from data.errors import InputError
from models.layers.positions import Learned, Sinusoidal, Time2Vec, make_positions
from models.layers.transformer_encoder import EncoderLayer, SelfAttention
from models.mixers.attention import Attention
from models.mixers.base import make_mixer
from models.mixers.conv import Convolution
from models.networks.attention import CNNAttention, TransformerNetwork, TransformerTime2Vec
from tests.batches import make_batch, make_schema, perturb

ROWS = 9
LENGTH = torch.tensor([9, 1, 5, 8])
USED = torch.arange(ROWS) < LENGTH[:, None]


def hidden_rows(width: int, windows: int = 4) -> Tensor:
    return torch.randn(windows, ROWS, width, generator=torch.Generator().manual_seed(2))


def copy(source: nn.Linear, weight: Tensor, bias: Tensor) -> None:
    with torch.no_grad():
        weight.copy_(source.weight)
        bias.copy_(source.bias)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("causal", [False, True])
def test_equals_multihead_attention(masked: bool, causal: bool) -> None:
    torch.manual_seed(0)
    ours = SelfAttention(12, heads=3, causal=causal)
    perturb(ours)
    theirs = nn.MultiheadAttention(12, 3, batch_first=True)
    copy(ours.project, theirs.in_proj_weight, theirs.in_proj_bias)
    copy(ours.join, theirs.out_proj.weight, theirs.out_proj.bias)
    hidden = hidden_rows(12)
    expected, _ = theirs(
        hidden,
        hidden,
        hidden,
        key_padding_mask=~USED if masked else None,
        attn_mask=torch.ones(ROWS, ROWS, dtype=torch.bool).triu(1) if causal else None,
        need_weights=False,
    )
    torch.testing.assert_close(ours(hidden, USED if masked else None), expected)


def test_layer_equals_pytorch_s_with_norms_in_front() -> None:
    torch.manual_seed(0)
    ours = EncoderLayer(12, heads=2, feedforward=20)
    perturb(ours)
    theirs = nn.TransformerEncoderLayer(
        12, 2, 20, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )
    copy(ours.attention.project, theirs.self_attn.in_proj_weight, theirs.self_attn.in_proj_bias)
    copy(ours.attention.join, theirs.self_attn.out_proj.weight, theirs.self_attn.out_proj.bias)
    theirs.linear1.load_state_dict(ours.widen.state_dict())
    theirs.linear2.load_state_dict(ours.narrow.state_dict())
    theirs.norm1.load_state_dict(ours.attention_norm.state_dict())
    theirs.norm2.load_state_dict(ours.feedforward_norm.state_dict())
    hidden = hidden_rows(12)
    expected = theirs(hidden, src_key_padding_mask=~USED)
    torch.testing.assert_close(ours(hidden, USED)[USED], expected[USED])


def test_each_of_the_three_maps_starts_as_one_of_its_own() -> None:
    torch.manual_seed(0)
    weight = SelfAttention(64, heads=4).project.weight
    bound = math.sqrt(6.0 / (64 + 64))  # Xavier's for 64 to 64, not for 64 to 192
    for part in weight.chunk(3):
        assert 0.95 * bound < part.abs().max() <= bound


def test_dropout_of_attention_in_training_only() -> None:
    part = SelfAttention(8, heads=2, dropout=0.5)
    hidden = hidden_rows(8)
    assert not torch.equal(part(hidden), part(hidden))
    part.eval()
    torch.testing.assert_close(part(hidden), part(hidden), rtol=0, atol=0)


def test_order_is_seen_through_positions_only() -> None:
    """Without them, rows in another order give the same rows in that order."""
    hidden, order = hidden_rows(8), torch.randperm(ROWS, generator=torch.Generator().manual_seed(1))
    length = torch.full((4,), ROWS)
    for positions in ("none", "sinusoidal", "learned", "time2vec"):
        torch.manual_seed(0)
        mixer = Attention(8, Attention.Config(hidden=8, heads=2, positions=positions)).eval()
        moved = mixer(hidden[:, order], length)
        assert torch.allclose(moved, mixer(hidden, length)[:, order], atol=1e-5) is (positions == "none")


@pytest.mark.parametrize("width", [8, 7, 1])
def test_sinusoids_are_the_paper_s(width: int) -> None:
    step = torch.tensor([[-3, 0, 1, 250]])
    found = Sinusoidal(width)(step, step)
    for row, place in enumerate(step[0].tolist()):
        for column in range(width):
            angle = place / 10_000 ** ((column - column % 2) / width)
            expected = math.cos(angle) if column % 2 else math.sin(angle)
            assert float(found[0, row, column]) == pytest.approx(expected, abs=1e-5)


def test_learned_positions_stand_by_step() -> None:
    part = Learned(3, rows=6, first=-4)
    step = torch.tensor([[-4, 0, 1, 5]])
    expected = part.table.weight[torch.tensor([0, 4, 5, 5])]  # the last is beyond the table: padding
    torch.testing.assert_close(part(step, step)[0], expected)


@pytest.mark.parametrize("start", [30, 2_400_000])
def test_time2vec_is_the_paper_s(start: int) -> None:
    """Also when the clock has counted to millions, where float32 would be off by a tenth."""
    torch.manual_seed(0)
    part = Time2Vec(5, rows=20, seasonality=(7,))
    perturb(part)
    part.requires_grad_(False)
    step, time = torch.arange(-2, 4)[None, :], torch.arange(start, start + 6)[None, :]
    found = part(step, time)
    assert found.shape == (1, 6, 6)
    for row in range(6):
        linear = float(part.slope) * (row - 2) / 20 + float(part.intercept)
        assert float(found[0, row, 0]) == pytest.approx(linear, abs=1e-5)
        for component in range(5):
            angle = float(part.frequency[component]) * (start + row) / 20 + float(part.phase[component])
            assert float(found[0, row, 1 + component]) == pytest.approx(math.sin(angle), abs=1e-5)


def test_time2vec_starts_at_the_seasons() -> None:
    """After a season, or a thousand of them, its sine and cosine are the same."""
    part = Time2Vec(6, rows=100, seasonality=(24, 168))
    early = torch.arange(24)[None, :]
    daily = part(early, early)[..., 1:3]
    for late in (early + 24, early + 24 * 1000):
        torch.testing.assert_close(daily, part(early, late)[..., 1:3], atol=1e-3, rtol=0)
    weekly = part(early, early)[..., 3:5]
    torch.testing.assert_close(weekly, part(early, early + 168)[..., 3:5], atol=1e-4, rtol=0)
    assert not torch.allclose(weekly, part(early, early + 24)[..., 3:5], atol=0.1)
    # A sine and a cosine of the same season: together they tell every phase of it apart.
    torch.testing.assert_close(daily.square().sum(-1), torch.ones(1, 24))


@pytest.mark.parametrize("components", [1, 2, 3, 8])
@pytest.mark.parametrize("seasonality", [(), (1,), (24,), (24, 168, 8766)])
@pytest.mark.parametrize("rows", [1, 2, 100])
def test_time2vec_has_as_many_components_as_asked(
    components: int, seasonality: tuple[int, ...], rows: int
) -> None:
    part = Time2Vec(components, rows, seasonality)
    assert part.frequency.shape == part.phase.shape == (components,)
    assert part.frequency.isfinite().all()
    assert (part.frequency > 0).all()


@pytest.mark.parametrize("positions", ["sinusoidal", "learned"])
def test_positions_of_the_network_count_from_the_origin(positions: str) -> None:
    """The first asked row has the same place after one row of history as after nine."""
    schema = make_schema()
    batch = make_batch(schema)
    assert len(set(batch.origin.tolist())) > 1
    torch.manual_seed(0)
    config = TransformerNetwork.Config(hidden=8, positions=positions)
    network = TransformerNetwork(schema, config).eval()
    placed = network.embed(batch) - network.embedding(batch)
    first = placed[torch.arange(4), batch.origin]
    torch.testing.assert_close(first, first[:1].expand(4, -1))
    last = placed[torch.arange(4), batch.origin - 1]
    torch.testing.assert_close(last, last[:1].expand(4, -1))
    assert not torch.allclose(first, last)


def test_time2vec_of_the_network_reads_the_common_clock() -> None:
    schema = make_schema(seasonality=(7,))
    batch = make_batch(schema, even=True)
    torch.manual_seed(0)
    network = TransformerTime2Vec(schema, TransformerTime2Vec.Config(hidden=8, components=2)).eval()
    before = network(batch)
    same_phase = network(batch._replace(time=batch.time + 7))
    other_phase = network(batch._replace(time=batch.time + 3))
    torch.testing.assert_close(same_phase, before, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(other_phase, before, atol=1e-3)


def test_cnn_attention_is_convolution_then_attention() -> None:
    network = CNNAttention(make_schema(), CNNAttention.Config(hidden=8, kernel=3, convolutions=1))
    assert [type(mixer) for mixer in network.mixers] == [Convolution, Attention]
    assert not network.is_causal()
    assert CNNAttention(make_schema(), CNNAttention.Config(hidden=8, causal=True)).is_causal()


def test_impossible_settings() -> None:
    with pytest.raises(
        InputError, match="heads: 5 does not divide the width of 12; nearest that do: 3, 4, 6"
    ):
        make_mixer({"name": "attention", "hidden": 12, "heads": 5}, 3, "mixers[0]")
    with pytest.raises(InputError, match="heads: found 0, expected a whole number from 1 on"):
        make_mixer({"name": "attention", "heads": 0}, 3, "mixers[0]")
    with pytest.raises(InputError, match="unknown positions 'sinusoid'; did you mean 'sinusoidal'"):
        make_positions("sinusoid", 8, 10)
    mixer = Attention(3, Attention.Config(hidden=8, positions="learned", max_rows=8))
    with pytest.raises(InputError, match=r"attention.max_rows: a window has 9 rows, .* raise max_rows to 9"):
        mixer(torch.zeros(2, 9, 3), torch.tensor([9, 4]))
