"""seq2seq_attention: encoder and decoder of residual LSTM layers with attention, GNMT's shape, for forecasts.

Wu et al. 2016, "Google's neural machine translation system" (arXiv 1609.08144), section 3 and figure 1. The
encoder (models/layers/bidirectional_encoder.py) reads the rows before the origin, in a sequence task all
of it; what it says of row j is m_j. The decoder reads the rows that are asked, x_i, with layers 1 to n:

    d_i^1   = LSTM_1(x_i)                                              starts in the encoder's states
    c_i     = sum_j a_ij m_j, a_i = attention of d_i^1                 models/layers/source_attention.py
    d_i^l   = LSTM_l([d_i^{l-1}, c_i]) + d_i^{l-1}                     l = 2 to n, equations 5 and 6
    theta_i = W_2 silu(W_1 [d_i^n, c_i, x_i])                          the head's P outputs of each target

Every layer's initial state comes from the static metadata too: that of the encoder alone, that of the decoder
added to what the encoder hands over. As it stands no row waits for the forecast of the row before, so that
each layer is one call. With `feed_back` it does, as a translation does for its words: layer 1 reads
[x_i, the point forecast of row i - 1, c_{i-1}], in training as in a forecast.

Where it differs: a translation's words are known only one after another, whereas the inputs x_i are known;
layer 2 of the encoder is residual already; theta_i sees c_i and x_i.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from data.batch import SequenceBatch
from data.configure import one_of
from data.errors import InputError
from data.schema import InputSchema
from models.embedding import InputEmbedding
from models.interpretation import Looked
from models.layers.bidirectional_encoder import BidirectionalEncoder, layer_entry
from models.layers.horizon_rows import from_origin, longest_horizon, to_rows
from models.layers.naive import KINDS, Naive
from models.layers.source_attention import SourceAttention
from models.mixers.base import make_mixer
from models.network import NETWORKS, Network
from models.static_state import MODES, StaticState


class _Source(NamedTuple):
    """What the decoder starts from."""

    asking: Tensor  # (B, H, width) embedded rows from the origin on
    memory: Tensor  # (B, M, .) of the encoder
    keys: Tensor  # (B, M, hidden) of the memory, for attention
    seen: Tensor  # (B, M) bool
    states: list[list[Tensor]]  # of each of the decoder's layers
    level: Tensor | None  # (B, H, K) that is added to the output


@NETWORKS.register("seq2seq_attention")
class Seq2SeqAttention(Network):
    """See the module's docstring. Rows before the origin get 0: they are never asked.

    Causal in horizon tasks: the encoder ends at the origin, and the decoder goes forwards.
    Raises InputError for unknown settings, and for a `cell` that cannot hand its state over.
    """

    @dataclass(frozen=True)
    class Config:
        """Settings with their defaults."""

        hidden: int = 64  # units of each layer, of each direction of the encoder's first one
        layers: int = 2  # of the encoder, and of the decoder; GNMT has 8
        cell: str = "lstm"  # a recurrent mixer that hands its state over: lstm, gru, rnn
        dropout: float = 0.1  # on each layer's output
        width: int = 0  # of the embedding; 0: hidden
        attention: str = "dot"  # dot, or additive as in GNMT, which needs much memory in long windows
        feed_back: bool = False  # each row reads the forecast of the row before; row by row, so it is slow
        static_state: str = (
            "state"  # how static metadata enters: state, concatenate, both, none, learned, random
        )
        static_width: int = 32
        add_last: str = "none"  # what the output is added to: none, last, seasonal (horizon tasks)

    def __init__(self, schema: InputSchema, config: Any, outputs: int = 1) -> None:
        super().__init__(schema, config, outputs)
        one_of(config.static_state, MODES, "static_state", "static_state")
        one_of(config.add_last, KINDS, "add_last", "add_last")
        if config.layers < 1:
            raise InputError(f"seq2seq_attention.layers: found {config.layers}, expected 1 or more")
        where, hidden = "seq2seq_attention.cell", config.hidden
        width = config.width or hidden
        self.embedding = InputEmbedding(schema, width)
        self.encoder = BidirectionalEncoder(width, config.cell, hidden, config.layers, config.dropout, where)
        context = self.encoder.width_out
        inputs = [width + (schema.targets + context if config.feed_back else 0)]
        inputs += [hidden + context] * (config.layers - 1)
        entry = layer_entry(config.cell, hidden, where)
        self.decoder = nn.ModuleList(make_mixer(entry, wide, where) for wide in inputs)
        self.attention = SourceAttention(hidden, context, hidden, config.attention)
        self.dropout = nn.Dropout(config.dropout)
        self.static_state = StaticState(
            schema,
            [self.encoder.state_shapes(), *(layer.state_shapes() for layer in self.decoder)],  # type: ignore[operator]
            [width, *inputs],
            config.static_state,
            config.static_width,
        )
        self.outlet = nn.Sequential(
            nn.Linear(hidden + context + width, hidden),
            nn.SiLU(),
            nn.Linear(hidden, schema.targets * outputs),
        )
        self.naive = Naive(schema, config.add_last) if config.add_last != "none" else None

    def forward(self, batch: SequenceBatch) -> Tensor:
        output, _ = self._decoded(batch)
        return to_rows(output, batch)

    def is_causal(self) -> bool:
        return self.schema.context > 0

    def interpret(self, batch: SequenceBatch, looked: Looked) -> None:
        _, weight = self._decoded(batch)  # (B, H, M)
        step = torch.arange(weight.shape[1], device=weight.device)
        row = torch.arange(weight.shape[2], device=weight.device)
        judged = from_origin(batch.weight[:, :, None], batch.origin, weight.shape[1])
        judged = judged * (step < (batch.length - batch.origin)[:, None])[:, :, None]
        pairs = judged * (row < self._read(batch)[:, None])[:, None, :]
        place = (row - batch.origin[:, None])[:, None, :]
        looked.add_attention("lag", weight, step[:, None] - place, pairs)
        looked.add_attention("position", weight, place, pairs)

    def _read(self, batch: SequenceBatch) -> Tensor:
        """(B,) rows that the encoder reads."""
        return batch.origin if self.schema.context else batch.length

    def _decoded(self, batch: SequenceBatch) -> tuple[Tensor, Tensor]:
        """(B, H, K * P) from each origin on, and what attention weighs the encoder's rows with, (B, H, M)."""
        source = self._source(batch)
        if self.config.feed_back:
            return self._row_by_row(batch, source)
        rows = torch.full_like(batch.length, source.asking.shape[1])
        hidden = self.dropout(self.decoder[0](source.asking, rows, source.states[0]))
        context, weight = self.attention(hidden, source.memory, source.keys, source.seen)
        for layer, states in zip(self.decoder[1:], source.states[1:], strict=True):
            hidden = hidden + self.dropout(layer(torch.cat([hidden, context], dim=-1), rows, states))
        return self._output(hidden, context, source.asking, source.level), weight

    def _row_by_row(self, batch: SequenceBatch, source: _Source) -> tuple[Tensor, Tensor]:
        """With each row's point forecast and context in the next row's inputs."""
        one = torch.ones_like(batch.length)
        units = self.own_forecasts.units(batch)
        value = self._last_target(batch)
        context = source.memory.new_zeros(len(value), 1, source.memory.shape[2])
        states = list(source.states)
        outputs, weights = [], []
        for step in range(source.asking.shape[1]):
            row = source.asking[:, step : step + 1]
            inputs = torch.cat([row, value, context], dim=-1)
            hidden, states[0] = self.decoder[0].carry(inputs, one, states[0])  # type: ignore[operator]
            hidden = self.dropout(hidden)
            context, weight = self.attention(hidden, source.memory, source.keys, source.seen)
            for place, layer in enumerate(self.decoder[1:], start=1):
                inputs = torch.cat([hidden, context], dim=-1)
                mixed, states[place] = layer.carry(inputs, one, states[place])  # type: ignore[operator]
                hidden = hidden + self.dropout(mixed)
            level = None if source.level is None else source.level[:, step : step + 1]
            output = self._output(hidden, context, row, level)
            value = self.own_forecasts.point(output, units).to(row.dtype)
            outputs.append(output)
            weights.append(weight)
        return torch.cat(outputs, dim=1), torch.cat(weights, dim=1)

    def _source(self, batch: SequenceBatch) -> _Source:
        embedded = self.embedding(batch)
        (first, *own), (added, *_) = self.static_state(batch)
        if added is not None:
            embedded = embedded + added
        read = self._read(batch)
        count = max(1, int(read.max()))
        memory, handed = self.encoder(embedded[:, :count], read, first)
        kinds = self.encoder.kinds
        states = []
        for place, static in enumerate(own):
            layer = handed[place * kinds : (place + 1) * kinds]
            if static is not None:
                layer = [state + more for state, more in zip(layer, static, strict=True)]
            states.append(layer)
        horizon = longest_horizon(batch)
        level = None if self.naive is None else from_origin(self.naive(batch), batch.origin, horizon)
        return _Source(
            from_origin(embedded, batch.origin, horizon),
            memory,
            self.attention.keys(memory),
            torch.arange(count, device=read.device) < read[:, None],
            states,
            level,
        )

    def _output(self, hidden: Tensor, context: Tensor, row: Tensor, level: Tensor | None) -> Tensor:
        output: Tensor = self.outlet(torch.cat([hidden, context, row], dim=-1))
        return output if level is None else self.add_level(output, level)

    def _last_target(self, batch: SequenceBatch) -> Tensor:
        """(B, 1, K) scaled target of the row before the origin, 0 where there is none."""
        columns = self.schema.reals("past_target")
        if not columns:
            return batch.real.new_zeros(len(batch.length), 1, self.schema.targets)
        last = from_origin(batch.real[:, :, columns], (batch.origin - 1).clamp(min=0), 1)
        return last.masked_fill((batch.origin == 0)[:, None, None], 0.0)

    @classmethod
    def small(cls) -> Any:
        return cls.Config(hidden=8, dropout=0.0, static_width=8)

    @classmethod
    def variants(cls) -> list[Any]:
        return [
            cls.small(),
            cls.Config(
                hidden=6,
                layers=3,
                cell="gru",
                dropout=0.0,
                attention="additive",
                feed_back=True,
                static_state="both",
                static_width=6,
            ),
            cls.Config(hidden=8, layers=1, dropout=0.0, static_state="concatenate", static_width=8),
        ]

    @classmethod
    def search(cls, trial: Any) -> dict[str, Any]:
        return {
            "hidden": trial.suggest_categorical("hidden", [32, 64, 128, 256]),
            "layers": trial.suggest_int("layers", 1, 4),
            "dropout": trial.suggest_float("dropout", 0.0, 0.4),
            "attention": trial.suggest_categorical("attention", ["dot", "additive"]),
            "feed_back": trial.suggest_categorical("feed_back", [False, True]),
            "static_state": trial.suggest_categorical("static_state", ["state", "concatenate", "both"]),
        }
