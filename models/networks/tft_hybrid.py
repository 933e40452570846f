"""tft_hybrid: an own Temporal Fusion Transformer whose local layer may be any recurrent mixer, or none.

Lim, Arik, Loeff and Pfister 2021, "Temporal Fusion Transformers for interpretable multi-horizon time series
forecasting" (International Journal of Forecasting 37; equations as numbered there and in arXiv 1912.09363).
Window row t stands for the paper's t + n, xi_t for its selected inputs, zeta for its static encoding:

    zeta          = selected static variables                              6 to 8, without context
    c_s, c_e      = GRN_s(zeta), GRN_e(zeta); states of the local layer: models/static_state.py, from zeta
    xi_t          = selected past variables before the origin, known ones from it on      6 to 8, context c_s
    phi_t         = encoder and decoder over xi                            section 4.5.1
    phi~_t        = LayerNorm(xi_t + GLU(phi_t))                           17
    theta_t       = GRN_theta(phi~_t, c_e)                                 18
    beta_t        = InterpretableMultiHead(theta, theta, theta)_t          19, 13 to 16
    delta_t       = LayerNorm(theta_t + GLU(beta_t))                       20
    psi_t         = GRN_psi(delta_t)                                       21
    psi~_t        = LayerNorm(phi~_t + GLU(psi_t))                         22
    y_t           = W psi~_t + b, the head's P outputs of each target      23

Where it differs: embeddings may be narrower than the rest (`variable_width`); a column of past values that is
known for some steps of the horizon (a lag of 28 rows) belongs to the known variables too, without weight on
the steps where it is blanked; the row's distance from the origin is a variable; in a sequence task, where
nothing lies before the origin, there is the decoder alone and attention may look ahead.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from data.batch import SequenceBatch
from data.configure import one_of
from data.schema import InputSchema
from data.transfer import largest
from models.interpretation import Looked
from models.layers.encoder_decoder import EncoderDecoder
from models.layers.horizon_rows import from_origin, longest_horizon, to_rows
from models.layers.interpretable_attention import InterpretableAttention
from models.layers.naive import KINDS, Naive
from models.layers.selectable import EVERYWHERE, columns_of
from models.layers.variable_selection import VariableEmbedding, VariableSelection, by_blocks
from models.network import NETWORKS, Network
from models.static_state import MODES, GatedResidual, StaticState

ATTENTION = ("auto", "causal", "full")


class GatedSkip(nn.Module):
    """LayerNorm(x + GLU(y)), with dropout of y: equations 17, 20 and 22."""

    def __init__(self, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.gate = nn.Linear(width, 2 * width)
        self.norm = nn.LayerNorm(width)

    def forward(self, straight: Tensor, mixed: Tensor) -> Tensor:
        gated = nn.functional.glu(self.gate(self.dropout(mixed)), dim=-1)
        normed: Tensor = self.norm(straight + gated)
        return normed


class _Enriched(NamedTuple):
    """What attention reads, and what variable selection chose on the way."""

    local: Tensor  # (B, L, width), phi~
    enriched: Tensor  # (B, L, width), theta
    static_weight: Tensor | None  # (B, V)
    past_weight: Tensor | None  # (B, rows up to the last origin of the batch, V)
    known_weight: Tensor  # (B, H, V) of the rows from the origin on


@NETWORKS.register("tft_hybrid")
class TFTHybrid(Network):
    """See the module's docstring. In horizon tasks rows before the origin get 0: they are never asked.

    Causal if attention is (`attention`: causal, or auto in horizon tasks) and the local layer is.
    Raises InputError for unknown settings, and where `heads` does not divide `width`.
    """

    reach: Tensor  # (V,) of the known variables

    @dataclass(frozen=True)
    class Config:
        """Settings with their defaults."""

        width: int = 64  # of all layers, the paper's d_model
        variable_width: int = 8  # of the embedding of what varies in time; 0: `width`, as in the paper
        heads: int = 4  # must divide width
        local: str = (
            "lstm"  # lstm, bilstm, gru, ... (a recurrent mixer, with bi before it both ways), position
        )
        layers: int = 1  # of encoder and decoder
        attention: str = "auto"  # causal, full; auto: full in sequence tasks, where the future is given
        dropout: float = 0.1
        static_state: str = "state"  # how static metadata starts the local layer: models/static_state.py
        add_last: str = "none"  # what the output is added to: none, last, seasonal (horizon tasks)

    def __init__(self, schema: InputSchema, config: Any, outputs: int = 1) -> None:
        super().__init__(schema, config, outputs)
        one_of(config.attention, ATTENTION, "attention", "attention")
        one_of(config.static_state, MODES, "static_state", "static_state")
        one_of(config.add_last, KINDS, "add_last", "add_last")
        width, dropout = config.width, config.dropout
        embedded = config.variable_width or width
        self.columns = columns_of(schema)
        self.embedding = VariableEmbedding(len(self.columns.real) + 1, schema.category_size, embedded)
        self.static_names = (*schema.static_real, *schema.static_category)
        # Modes that keep the metadata out of the states keep it out of the network.
        self.reads_static = bool(self.static_names) and config.static_state in (
            "state",
            "concatenate",
            "both",
        )
        context = width if self.reads_static else 0
        if self.reads_static:
            sizes = schema.static_category_size
            self.static_embedding = VariableEmbedding(len(schema.static_real), sizes, width)
            self.static = VariableSelection(len(self.static_names), width, width, 0, dropout)
            self.for_selection = GatedResidual(width, dropout)
            self.for_enrichment = GatedResidual(width, dropout)
        self.past = (
            VariableSelection(len(self.columns.name), embedded, width, context, dropout)
            if schema.context
            else None
        )
        self.known = VariableSelection(len(self.columns.reach), embedded, width, context, dropout)
        self.register_buffer("reach", torch.tensor(self.columns.reach), persistent=False)
        self.blanked = any(reach < EVERYWHERE for reach in self.columns.reach)
        self.local = EncoderDecoder(schema, config.local, width, config.layers, dropout)
        self.static_state = StaticState(
            schema, [self.local.state_shapes()], [width], config.static_state, width, encodes=False
        )
        self.after_local = GatedSkip(width, dropout)
        self.enrich = GatedResidual(width, dropout, context=context)
        self.attention = InterpretableAttention(width, config.heads, dropout)
        self.after_attention = GatedSkip(width, dropout)
        self.feedforward = GatedResidual(width, dropout)
        self.after_feedforward = GatedSkip(width, dropout)
        self.head = nn.Linear(width, schema.targets * outputs)
        self.naive: Naive | None = None
        if config.add_last != "none":  # training starts from the naive forecast itself
            self.naive = Naive(schema, config.add_last)
            nn.init.zeros_(self.head.weight)
            nn.init.zeros_(self.head.bias)
        self.attends_causally = config.attention == "causal" or (
            config.attention == "auto" and schema.context > 0
        )

    def forward(self, batch: SequenceBatch) -> Tensor:
        found = self._enriched(batch)
        asking = self._asked(found.enriched, batch)  # nothing before the origin is asked
        attended = self.attention(asking, found.enriched, self._seen(batch, asking.shape[1]))
        attended = self.after_attention(asking, attended)
        mixed = self.after_feedforward(self._asked(found.local, batch), self.feedforward(attended))
        output = to_rows(self.head(mixed), batch)  # (B, L, K * P)
        if self.naive is not None:
            output = self.add_level(output, self.naive(batch))
        return output.masked_fill(~(batch.used() & ~batch.past())[:, :, None], 0.0)

    def is_causal(self) -> bool:
        return self.attends_causally and self.local.causal

    def interpret(self, batch: SequenceBatch, looked: Looked) -> None:
        found = self._enriched(batch)
        if found.static_weight is not None:
            counts = (batch.weight.sum(1) > 0).float()
            looked.add_variables("static", self.static_names, found.static_weight, counts)
        if found.past_weight is not None:
            counts = batch.past()[:, : found.past_weight.shape[1]]
            looked.add_variables("past", self.columns.name, found.past_weight, counts)
        asking = self._asked(found.enriched, batch)
        step = torch.arange(asking.shape[1], device=asking.device)
        counts = self._asked(batch.weight[:, :, None], batch)[:, :, 0]
        counts = counts * (step < (batch.length - batch.origin)[:, None])
        looked.add_variables("known", self.columns.known_name, found.known_weight, counts)
        seen = self._seen(batch, len(step))
        attention = self.attention.weights(asking, found.enriched, seen)
        pairs = counts[:, :, None] * seen
        position = torch.arange(batch.rows, device=step.device) - batch.origin[:, None]  # (B, L)
        looked.add_attention("lag", attention, step[:, None] - position[:, None, :], pairs)
        looked.add_attention("position", attention, position[:, None, :], pairs)

    def _enriched(self, batch: SequenceBatch) -> _Enriched:
        encoding = static_weight = for_selection = for_enrichment = None
        if self.reads_static:
            embedded = self.static_embedding(batch.static_real, batch.static_category)
            encoding, static_weight = self.static(embedded)  # (B, width), (B, V)
            for_selection = self.for_selection(encoding)[:, None]
            for_enrichment = self.for_enrichment(encoding)[:, None]
        selected, past_weight, known_weight = self._selected(batch, for_selection)
        (states,), (added,) = self.static_state(batch, encoding)
        if added is not None:
            selected = selected + added
        local = self.local(selected, batch, states)
        local = self.after_local(selected, local)
        enriched = self.enrich(local, for_enrichment)
        return _Enriched(local, enriched, static_weight, past_weight, known_weight)

    def _selected(self, batch: SequenceBatch, context: Tensor | None) -> tuple[Tensor, Tensor | None, Tensor]:
        """(B, L, width), and the weights of past and of known variables."""
        unused = ~batch.used()[:, :, None]
        step = torch.arange(batch.rows, device=batch.origin.device) - batch.origin[:, None]  # (B, L)
        distance = step.to(batch.real.dtype)[:, :, None] / self.schema.length
        real = torch.cat([batch.real[:, :, list(self.columns.real)], distance], dim=-1)
        real, code = real.masked_fill(unused, 0.0), batch.category.masked_fill(unused, 0)
        known_rows = self._asked(real, batch), self._asked(code, batch)
        shown = None
        if self.blanked:  # row j from the origin is step j + 1 of the horizon
            shown = self.reach > torch.arange(known_rows[0].shape[1], device=step.device)[:, None]

        def select_known(real: Tensor, code: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
            columns = self.columns
            embedded = self.embedding(real, code, columns.known_real, columns.known_category)
            chosen: tuple[Tensor, Tensor] = self.known(embedded, context, shown)
            return chosen

        width = self.embedding.width
        known, known_weight = by_blocks(select_known, self.known.variables * width, *known_rows, context)
        last = largest(batch.origin) if self.past is not None else 0
        if self.past is None or last == 0:
            return to_rows(known, batch), None, known_weight
        of_past = self.past

        def select_past(real: Tensor, code: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
            chosen: tuple[Tensor, Tensor] = of_past(self.embedding(real, code), context)
            return chosen

        past_rows = real[:, :last], code[:, :last]
        past, past_weight = by_blocks(select_past, of_past.variables * width, *past_rows, context)
        past = nn.functional.pad(past, (0, 0, 0, batch.rows - last))
        return torch.where((step < 0)[:, :, None], past, to_rows(known, batch)), past_weight, known_weight

    def _asked(self, values: Tensor, batch: SequenceBatch) -> Tensor:
        """(B, L, .) -> (B, H, .): the rows from each window's origin on, moved to the front."""
        if self.schema.context == 0:
            return values
        return from_origin(values, batch.origin, longest_horizon(batch))

    def _seen(self, batch: SequenceBatch, count: int) -> Tensor:
        """(B, count, L) bool: which rows the first `count` from the origin on may look at."""
        seen = batch.used()[:, None, :]
        if self.attends_causally:
            row = torch.arange(batch.rows, device=batch.origin.device)
            seen = seen & (row <= (batch.origin[:, None] + row[:count])[:, :, None])
        return seen.expand(-1, count, -1)

    @classmethod
    def small(cls) -> Any:
        return cls.Config(width=8, variable_width=4, heads=2, dropout=0.0)

    @classmethod
    def variants(cls) -> list[Any]:
        small = cls.small()
        return [
            small,
            replace(small, local="position", attention="causal", variable_width=0),
            replace(small, local="bilstm", attention="full", layers=2, static_state="both"),
        ]

    @classmethod
    def search(cls, trial: Any) -> dict[str, Any]:
        return {
            "width": trial.suggest_categorical("width", [32, 64, 128, 160]),
            "variable_width": trial.suggest_categorical("variable_width", [8, 16, 32]),
            "heads": trial.suggest_categorical("heads", [1, 2, 4]),
            "local": trial.suggest_categorical("local", ["lstm", "bilstm", "position"]),
            "layers": trial.suggest_int("layers", 1, 2),
            "dropout": trial.suggest_float("dropout", 0.0, 0.4),
            "static_state": trial.suggest_categorical("static_state", ["state", "concatenate", "both"]),
        }
