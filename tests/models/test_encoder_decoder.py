"""Encoder and decoder: the state that is handed over, windows of unequal history, both ways, positions."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from data.batch import SequenceBatch
from data.errors import InputError
from models.layers.encoder_decoder import EncoderDecoder
from models.layers.positions import Sinusoidal
from models.mixers.base import MIXERS, Mixer
from tests.batches import make_batch, make_schema, perturb

WIDTH = 4
CARRYING = [
    pytest.param(kind, config, id=f"{name}-{index}")
    for name, kind in MIXERS.items()
    for index, config in enumerate(kind.variants())
    if kind(WIDTH, config).carries
]


@pytest.mark.parametrize(("kind", "config"), CARRYING)
def test_a_mixer_goes_on_from_the_state_it_hands_over(kind: Any, config: Any) -> None:
    """Two pieces give what the whole gives, also where windows are cut at unequal rows (one: before any)."""
    torch.manual_seed(0)
    mixer: Mixer = kind(WIDTH, config).eval()
    perturb(mixer)
    hidden, cut = torch.randn(4, 9, WIDTH), torch.tensor([5, 2, 0, 5])
    state = [torch.randn(4, *shape) for shape in mixer.state_shapes()]
    whole = mixer(hidden, torch.full((4,), 9), state)
    for given in (state, None):
        whole = mixer(hidden, torch.full((4,), 9), given)
        first, carried = mixer.carry(hidden[:, :5], cut, given)
        assert [part.shape for part in carried] == [part.shape for part in state]
        for window in range(4):
            rows = int(cut[window])
            own = [part[window : window + 1] for part in carried]
            rest = mixer(hidden[window : window + 1, rows:], torch.tensor([9 - rows]), own)
            torch.testing.assert_close(rest[0], whole[window, rows:], rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(first[window, :rows], whole[window, :rows], rtol=1e-4, atol=1e-5)
        even, carried = mixer.carry(hidden[:, :5], torch.full((4,), 5), given)
        rest = mixer(hidden[:, 5:], torch.full((4,), 4), carried)
        torch.testing.assert_close(torch.cat([even, rest], dim=1), whole, rtol=1e-4, atol=1e-5)


def test_recurrent_mixers_carry() -> None:
    assert {"rnn", "gru", "lstm"} <= {
        name for name in MIXERS.names() if MIXERS.get(name)(4, MIXERS.get(name).small()).carries
    }


def horizon(local: str, layers: int = 1) -> EncoderDecoder:
    torch.manual_seed(0)
    part = EncoderDecoder(make_schema("horizon", context=6, horizon=4), local, WIDTH, layers).eval()
    perturb(part)
    return part


def windows() -> tuple[Tensor, SequenceBatch]:
    """Hidden rows of five windows, one without any history."""
    batch = make_batch(make_schema("horizon", context=6, horizon=4), windows=5)
    batch = batch._replace(length=torch.tensor([10, 6, 4, 8, 5]), origin=torch.tensor([6, 3, 0, 6, 1]))
    return torch.randn(5, 10, WIDTH, generator=torch.Generator().manual_seed(0)), batch


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("local", ["lstm", "gru"])
def test_equal_weights_make_one_layer_of_both(local: str, layers: int) -> None:
    """With the encoder's weights in the decoder, what comes out is one layer over the whole window."""
    part = horizon(local, layers)
    assert part.encoder is not None
    assert part.decoder is not None
    assert part.causal
    part.decoder.load_state_dict(part.encoder.state_dict())
    hidden, batch = windows()
    state = [torch.randn(5, *shape) for shape in part.state_shapes()]
    for given in (None, state):
        whole = part.decoder(hidden, batch.length, given)
        output = part(hidden, batch, given)
        for window in range(5):
            used = slice(0, int(batch.length[window]))
            torch.testing.assert_close(output[window, used], whole[window, used], rtol=1e-4, atol=1e-5)
        even = batch._replace(length=torch.full((5,), 10), origin=torch.full((5,), 6))
        whole = part.decoder(hidden, even.length, given)
        torch.testing.assert_close(part(hidden, even, given), whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("local", ["lstm", "bilstm", "bigru"])
def test_weights_of_encoder_and_decoder_are_their_own(local: str) -> None:
    part = horizon(local)
    assert part.encoder is not None
    assert part.decoder is not None
    hidden, batch = windows()
    before = part(hidden, batch)
    with torch.no_grad():
        for parameter in part.decoder.parameters():
            parameter += 0.1
    changed = (part(hidden, batch) - before).abs().amax(2) > 1e-7
    past, used = batch.past(), batch.used()
    assert not changed[past].any()
    assert changed[used & ~past].all()


def test_both_ways_the_decoder_alone_looks_ahead_and_starts_in_the_encoder_s_state() -> None:
    part = horizon("bilstm", layers=2)
    assert not part.causal
    kinds, layers = 2, 2
    assert len(part.state_shapes()) == 2 * kinds * layers
    hidden, batch = windows()
    before = part(hidden, batch)
    later = hidden.clone()
    later[0, 9] += 1.0
    changed = (part(later, batch) - before).abs().amax(2) > 1e-7
    assert not changed[0, :6].any()
    assert changed[0, 6:].all()
    earlier = hidden.clone()
    earlier[0, 0] += 1.0
    assert ((part(earlier, batch) - before).abs().amax(2) > 1e-7)[0].all()
    # The states of the way back reach the last row first; those of the encoder reach its first row.
    for place, row in ((0, 0), (kinds * layers, 9)):
        state = [torch.zeros(5, *shape) for shape in part.state_shapes()]
        state[place] += 1.0
        moved = (part(hidden, batch, state) - before)[0, row].abs().max()
        assert moved > 1e-6
    zero = [torch.zeros(5, *shape) for shape in part.state_shapes()]
    torch.testing.assert_close(part(hidden, batch, zero), before, rtol=0, atol=0)


def test_a_sequence_task_has_a_decoder_alone() -> None:
    part = EncoderDecoder(make_schema("sequence"), "bilstm", WIDTH)
    assert part.encoder is None
    assert part.decoder is not None
    assert len(part.state_shapes()) == 4


def test_a_mixer_that_hands_no_state_over_runs_over_the_whole_window() -> None:
    part = horizon("tcn")
    assert part.encoder is None
    assert part.decoder is not None
    assert part.state_shapes() == []
    hidden, batch = windows()
    torch.testing.assert_close(part(hidden, batch), part.join(part.decoder(hidden, batch.length)))


@pytest.mark.parametrize("local", ["plstm", "biplstm"])
@pytest.mark.parametrize("task", ["sequence", "horizon"])
def test_plstm_s_states_are_started_too(local: str, task: str) -> None:
    torch.manual_seed(0)
    part = EncoderDecoder(make_schema(task, context=6, horizon=4), local, WIDTH).eval()
    hidden, batch = windows()
    batch = batch if task == "horizon" else batch._replace(origin=torch.zeros_like(batch.origin))
    state = [torch.zeros(5, *shape) for shape in part.state_shapes()]
    assert len(state) == (6 if local == "biplstm" else 3)
    before = part(hidden, batch, state)
    for place in range(len(state)):
        moved = [kind + (0.5 if index == place else 0.0) for index, kind in enumerate(state)]
        assert not torch.equal(part(hidden, batch, moved), before), place


def test_positions_count_from_the_origin() -> None:
    part = horizon("position")
    assert part.state_shapes() == []
    assert list(part.parameters()) == []
    hidden, batch = windows()
    step = torch.arange(10) - batch.origin[:, None]
    torch.testing.assert_close(part(hidden, batch) - hidden, Sinusoidal(WIDTH)(step, step))


def test_an_unknown_layer_is_refused_with_the_choices() -> None:
    with pytest.raises(InputError, match=r"local: 'lsmt' is not among: position, .*lstm.* bi before"):
        horizon("lsmt")
    with pytest.raises(InputError, match="'bitcn' is not among"):
        horizon("bitcn")
