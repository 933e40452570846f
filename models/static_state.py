"""Static metadata to the initial state of every layer and direction, through a gated residual network.

How the metadata enters (`mode`):
    state        initial states; a mixer without a state gets the encoding added to its input
    concatenate  added to every row's embedding (the same as concatenating it to every row's inputs)
    both         both of these
    none         not at all
    learned      not at all, and the initial state is one learned vector
    random       not at all, and the initial state is noise in training, zero in evaluation
Without static columns the first three do nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from data.batch import SequenceBatch
from data.schema import InputSchema
from models.embedding import CategoryEmbedding

MODES = ("state", "concatenate", "both", "none", "learned", "random")

#: Standard deviation of the noise of mode `random`.
NOISE = 0.1


class GatedResidual(nn.Module):
    """Gated residual network of TFT (Lim et al. 2021, equations 2 to 5).

    GRN(a, c) = LayerNorm(a + GLU(eta_1)), eta_1 = W_1 eta_2 + b_1, eta_2 = ELU(W_2 a + W_3 c + b_2).
    inputs: width of a (None: `width`; else a linear map of a stands in for a in the sum); hidden: of eta
    (None: `width`); context: width of c, 0 without.
    """

    def __init__(
        self,
        width: int,
        dropout: float = 0.0,
        inputs: int | None = None,
        hidden: int | None = None,
        context: int = 0,
    ) -> None:
        super().__init__()
        inputs, hidden = inputs or width, hidden or width
        self.first = nn.Linear(inputs, hidden)
        self.second = nn.Linear(hidden, hidden)
        self.gate = nn.Linear(hidden, 2 * width)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(width)
        self.context = nn.Linear(context, hidden, bias=False) if context else None
        self.skip = nn.Linear(inputs, width) if inputs != width else None

    def forward(self, values: Tensor, context: Tensor | None = None) -> Tensor:
        """(..., inputs) and, if there is one, context (..., context) that broadcasts -> (..., width)."""
        first = self.first(values)
        if self.context is not None:
            assert context is not None
            first = first + self.context(context)
        inner = self.dropout(self.second(nn.functional.elu(first)))
        straight = values if self.skip is None else self.skip(values)
        mixed: Tensor = self.norm(straight + nn.functional.glu(self.gate(inner), dim=-1))
        return mixed


class StaticEncoder(nn.Module):
    """Static categoricals (B, D) and reals (B, S) -> (B, width)."""

    def __init__(self, schema: InputSchema, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.category = (
            CategoryEmbedding(schema.static_category_size) if schema.static_category_size else None
        )
        inputs = len(schema.static_real) + (self.category.width if self.category else 0)
        self.project = nn.Linear(inputs, width)
        self.gated = GatedResidual(width, dropout)

    def forward(self, batch: SequenceBatch) -> Tensor:
        parts = [batch.static_real]
        if self.category is not None:
            parts.append(self.category(batch.static_category))
        encoding: Tensor = self.gated(self.project(torch.cat(parts, dim=-1)))
        return encoding


class StaticState(nn.Module):
    """Initial states for a list of mixers, and what is added to their inputs.

    shapes: each mixer's `state_shapes()`; widths: each mixer's input width.
    encodes: False where the network has an encoding of its own, which it hands to `forward`.
    The layer that emits the states starts at zero: training starts from the ordinary zero state.
    """

    def __init__(
        self,
        schema: InputSchema,
        shapes: Sequence[Sequence[tuple[int, ...]]],
        widths: Sequence[int],
        mode: str = "state",
        width: int = 32,
        dropout: float = 0.0,
        encodes: bool = True,
    ) -> None:
        super().__init__()
        assert mode in MODES, mode
        has_static = bool(schema.static_real or schema.static_category)
        self.mode = mode if has_static or mode in ("learned", "random") else "none"
        self.shapes = [list(of_mixer) for of_mixer in shapes]
        self.encoder: StaticEncoder | None = None
        self.to_state: nn.Linear | None = None
        self.to_input = nn.ModuleDict()
        total = sum(math.prod(shape) for of_mixer in self.shapes for shape in of_mixer)
        if self.mode == "learned" and total:
            self.learned = nn.Parameter(torch.zeros(total))
        if self.mode not in ("state", "concatenate", "both"):
            return
        self.encoder = StaticEncoder(schema, width, dropout) if encodes else None
        if self.mode != "concatenate" and total:
            self.to_state = nn.Linear(width, total)
            nn.init.zeros_(self.to_state.weight)
            nn.init.zeros_(self.to_state.bias)
        for index, of_mixer in enumerate(self.shapes):
            everywhere = index == 0 and self.mode != "state"
            if everywhere or (not of_mixer and self.mode != "concatenate"):
                self.to_input[str(index)] = nn.Linear(width, widths[index])

    def forward(
        self, batch: SequenceBatch, encoding: Tensor | None = None
    ) -> tuple[list[list[Tensor] | None], list[Tensor | None]]:
        """For each mixer its states, (B, *shape) each, or None; and a (B, 1, width) addition, or None.

        encoding: (B, width), of a network that has its own (`encodes=False`).
        """
        encoding = self.encoder(batch) if self.encoder is not None else encoding
        added: list[Tensor | None] = [None] * len(self.shapes)
        if encoding is not None:
            for index, layer in self.to_input.items():
                added[int(index)] = layer(encoding)[:, None, :]
        return self._states(batch, encoding), added

    def _states(self, batch: SequenceBatch, encoding: Tensor | None) -> list[list[Tensor] | None]:
        windows = len(batch.length)
        flat: Tensor | None = None  # (B, total)
        total = sum(math.prod(shape) for of_mixer in self.shapes for shape in of_mixer)
        if self.to_state is not None and encoding is not None:
            flat = self.to_state(encoding)
        elif self.mode == "learned" and total:
            flat = self.learned.expand(windows, -1)
        elif self.mode == "random" and total and self.training:
            flat = NOISE * torch.randn(windows, total, dtype=batch.real.dtype, device=batch.real.device)
        if flat is None:
            return [None] * len(self.shapes)
        states: list[list[Tensor] | None] = []
        place = 0
        for of_mixer in self.shapes:
            own = []
            for shape in of_mixer:
                size = math.prod(shape)
                own.append(flat[:, place : place + size].reshape(windows, *shape))
                place += size
            states.append(own or None)
        return states
