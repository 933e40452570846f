"""TFT's layer for what is near in time: an encoder of the past, a decoder of what is asked, or positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor, nn

from data.batch import SequenceBatch
from data.errors import InputError
from data.schema import InputSchema
from data.transfer import largest
from models.layers.horizon_rows import from_origin, longest_horizon, to_rows
from models.layers.positions import Sinusoidal
from models.mixers.base import MIXERS, make_mixer


class EncoderDecoder(nn.Module):
    """Rows (B, L, width) -> (B, L, width); Lim et al. 2021, section 4.5.1.

    `local` names what runs:
        lstm, gru, ...  an encoder over the rows before the origin, and a decoder with weights of its own over
                        the rows from the origin on, which starts in the encoder's last state
        bilstm, ...     the same with a decoder that reads the known inputs in both directions
        position        neither: sinusoidal positions are added, the paper's ablation (section 7)
    A sequence task has nothing before the origin, so there is the decoder alone. A mixer that cannot hand its
    state over (`carries`) runs over the whole window as one layer, in horizon tasks too.

    `state_shapes()` are those of what starts anew: the encoder (or only layer), then the backward direction
    of a decoder. Raises InputError for an unknown name.
    """

    def __init__(
        self, schema: InputSchema, local: str, width: int, layers: int = 1, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.position = Sinusoidal(width) if local == "position" else None
        self.encoder: nn.Module | None = None
        self.decoder: nn.Module | None = None
        self.join: nn.Module = nn.Identity()
        self.causal = True
        self.layers = layers
        if self.position is not None:
            return
        name, both_ways = _kind(local)
        forwards = make_mixer(_entry(name, False, width, layers, dropout), width, "local")
        if schema.context and forwards.carries:
            self.encoder = forwards
        decoder = make_mixer(_entry(name, both_ways, width, layers, dropout), width, "local")
        self.decoder = decoder
        self.causal = decoder.causal
        if decoder.width_out != width:
            self.join = nn.Linear(decoder.width_out, width)  # of both directions
        self._shapes = decoder.state_shapes()
        if self.encoder is not None:
            assert forwards.width_out == width, name
            own = forwards.state_shapes()
            self.kinds = len(own) // layers
            self._shapes = [*own, *own] if both_ways else own

    def state_shapes(self) -> list[tuple[int, ...]]:
        """As of a mixer."""
        return [] if self.decoder is None else self._shapes

    def forward(self, hidden: Tensor, batch: SequenceBatch, state: Sequence[Tensor] | None = None) -> Tensor:
        """Padding never reaches a row in use."""
        step = torch.arange(batch.rows, device=hidden.device) - batch.origin[:, None]  # (B, L)
        if self.position is not None:
            return hidden + self.position(step, step)
        assert self.decoder is not None
        if self.encoder is None:
            mixed: Tensor = self.join(self.decoder(hidden, batch.length, state))
            return mixed
        last = largest(batch.origin)
        if last == 0:
            return self.join(self.decoder(hidden, batch.length, self._handed_over(state, state)))
        states = None if state is None else list(state[: self.kinds * self.layers])
        past, carried = self.encoder.carry(hidden[:, :last], batch.origin, states)  # type: ignore[operator]
        asked = from_origin(hidden, batch.origin, longest_horizon(batch))
        begun = self._handed_over(carried, state)
        asked = to_rows(self.join(self.decoder(asked, batch.length - batch.origin, begun)), batch)
        past = nn.functional.pad(past, (0, 0, 0, batch.rows - last))
        return torch.where((step < 0)[:, :, None], past, asked)

    def _handed_over(
        self, carried: Sequence[Tensor] | None, state: Sequence[Tensor] | None
    ) -> list[Tensor] | None:
        """The decoder's initial states: by layer those carried forwards, then those of the way back."""
        if carried is None:
            return None
        ahead = list(carried[: self.kinds * self.layers])
        back = self._shapes[len(ahead) :]
        if not back:
            return ahead
        behind = [ahead[0].new_zeros(len(ahead[0]), *shape) for shape in back]
        if state is not None:
            behind = list(state[len(ahead) :])
        ordered = []
        for layer in range(self.layers):
            place = slice(layer * self.kinds, (layer + 1) * self.kinds)
            ordered += [*ahead[place], *behind[place]]
        return ordered


def _kind(local: str) -> tuple[str, bool]:
    """The mixer's name, and whether it runs in both directions: bilstm is lstm, True."""
    names = MIXERS.names()
    both = local.removeprefix("bi")
    if local not in names and both in names and "bidirectional" in _settings(both):
        return both, True
    if local not in names:
        choices = [name for name in names if "bidirectional" in _settings(name)]
        raise InputError(
            f"local: {local!r} is not among: position, {', '.join(choices)} (or with bi before the name)"
        )
    return local, False


def _entry(name: str, both_ways: bool, width: int, layers: int, dropout: float) -> dict[str, Any]:
    wanted = {"hidden": width, "layers": layers, "dropout": dropout, "bidirectional": both_ways}
    known = _settings(name)
    return {"name": name, **{key: value for key, value in wanted.items() if key in known}}


def _settings(name: str) -> set[str]:
    return {field.name for field in fields(MIXERS.get(name).Config)}
