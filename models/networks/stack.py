"""Stack: embed -> mixers -> head. Most networks are a stack with settings of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from data.batch import SequenceBatch
from data.configure import one_of
from data.errors import InputError
from data.schema import InputSchema
from models.embedding import CATEGORY_STD, InputEmbedding, Inputs
from models.last_row import wants_last_row_only
from models.layers.naive import KINDS, Naive
from models.mixers.base import MIXERS, Mixer, make_mixer
from models.network import NETWORKS, Network
from models.static_state import MODES, StaticState

HEADS = ("linear", "mlp")
EMBEDDINGS = ("linear", "none")


@dataclass(frozen=True)
class StackConfig:
    """Settings that every stack has."""

    width: int = 0  # of the linear embedding; 0: as wide as the first mixer's `hidden`
    embedding: str = "linear"  # linear, or none: the first mixer reads the inputs as they are
    category_std: float = CATEGORY_STD  # of a category's vector at the start; 1 where all there is are tokens
    input_dropout: float = 0.0
    static_state: str = "state"  # how static metadata enters: state, concatenate, both, none, learned, random
    static_width: int = 32
    head: str = "mlp"  # linear, or mlp: Linear, SiLU, Linear
    head_dropout: float = 0.0
    skip: bool = True  # the embedded inputs stand beside the mixers' output in the head
    add_last: str = "none"  # what the network's output is added to: none, last, seasonal (horizon tasks)


@NETWORKS.register("stack")
class Stack(Network):
    """Any list of mixers in a row; subclasses turn settings of their own into such a list by `mixers`."""

    @dataclass(frozen=True)
    class Config(StackConfig):
        """Settings with their defaults."""

        mixers: list[Any] = field(default_factory=lambda: ["lstm"])  # names, or {name: ..., settings}

    def __init__(self, schema: InputSchema, config: Any, outputs: int = 1) -> None:
        super().__init__(schema, config, outputs)
        one_of(config.static_state, MODES, "static_state", "static_state")
        one_of(config.embedding, EMBEDDINGS, "embedding", "embedding")
        one_of(config.head, HEADS, "head", "head")
        one_of(config.add_last, KINDS, "add_last", "add_last")
        entries = self.mixer_entries(schema, config)
        if not entries:
            raise InputError("mixers: the list is empty; a stack needs at least one")
        self.embedding = _embedding(schema, config, entries)
        embedded = self.embedding.width
        self.mixers = nn.ModuleList()
        width = embedded
        for index, entry in enumerate(entries):
            mixer = make_mixer(entry, width, f"mixers[{index}]")
            self.mixers.append(mixer)
            width = mixer.width_out
        self.static_state = StaticState(
            schema,
            [mixer.state_shapes() for mixer in self.mixers],  # type: ignore[operator]
            [mixer.width for mixer in self.mixers],  # type: ignore[misc]
            config.static_state,
            config.static_width,
        )
        into_head = width + (embedded if config.skip else 0)
        last = nn.Linear(width if config.head == "mlp" else into_head, schema.targets * outputs)
        dropout = nn.Dropout(config.head_dropout)
        if config.head == "mlp":
            self.head = nn.Sequential(nn.Linear(into_head, width), nn.SiLU(), dropout, last)
        else:
            self.head = nn.Sequential(dropout, last)
        self.naive: Naive | None = None
        if config.add_last != "none":  # training starts from the naive forecast itself
            self.naive = Naive(schema, config.add_last)
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def mixer_entries(self, schema: InputSchema, config: Any) -> list[Any]:
        """Names of mixers, or mappings of `name` and settings."""
        return list(config.mixers)

    def embed(self, batch: SequenceBatch) -> Tensor:
        """(B, L, width): what the first mixer reads, and the head beside the last one's output."""
        embedded: Tensor = self.embedding(batch)
        return embedded

    def read_out(self, hidden: Tensor, batch: SequenceBatch) -> Tensor:
        """What goes into the head, (B, L, .) -> (B, L, K * P); L is 1 where the last row alone is wanted."""
        output: Tensor = self.head(hidden)
        return output

    def forward(self, batch: SequenceBatch) -> Tensor:
        embedded = self.embed(batch)  # (B, L, width)
        states, added = self.static_state(batch)
        hidden = embedded
        thin = self.naive is None and wants_last_row_only(batch)  # the others are 0 then
        for mixer, state, addition in zip(self.mixers, states, added, strict=True):
            if addition is not None:
                hidden = hidden + addition
            if thin and mixer is self.mixers[-1]:
                assert isinstance(mixer, Mixer)
                hidden = mixer.last_row(hidden, batch.length, state)[:, None]
                embedded = embedded[:, -1:]
            else:
                hidden = mixer(hidden, batch.length, state)
        if self.config.skip:
            hidden = torch.cat([hidden, embedded], dim=-1)
        output = self.read_out(hidden, batch)  # (B, L, K * P)
        if thin:
            output = nn.functional.pad(output, (0, 0, batch.rows - 1, 0))
        if self.naive is not None:
            output = self.add_level(output, self.naive(batch))
        return output.masked_fill(~batch.used()[:, :, None], 0.0)

    def is_causal(self) -> bool:
        return all(bool(mixer.causal) for mixer in self.mixers)

    @classmethod
    def search(cls, trial: Any) -> dict[str, Any]:
        """What every stack has; which mixers it is made of is for people to say."""
        return {
            "input_dropout": trial.suggest_float("input_dropout", 0.0, 0.3),
            "head": trial.suggest_categorical("head", list(HEADS)),
            "head_dropout": trial.suggest_float("head_dropout", 0.0, 0.3),
            "skip": trial.suggest_categorical("skip", [False, True]),
            "static_state": trial.suggest_categorical("static_state", ["state", "concatenate", "both"]),
        }

    @classmethod
    def small(cls) -> Any:
        return cls.Config(
            mixers=[{"name": "conv", "hidden": 8, "kernel": 3}, {"name": "lstm", "hidden": 8, "layers": 1}],
            static_width=8,
        )


def _embedding(schema: InputSchema, config: Any, entries: list[Any]) -> Inputs:
    if config.embedding == "linear":
        width = config.width or _hidden(entries[0])
        return InputEmbedding(schema, width, config.input_dropout, config.category_std)
    if config.width:
        raise InputError(f"width={config.width}: embedding=none takes no width; expected width=0")
    inputs = Inputs(schema, config.input_dropout, config.category_std)
    if not inputs.width:
        raise InputError("embedding=none: the rows have no input column; expected embedding=linear")
    return inputs


def _hidden(entry: Any) -> int:
    """`hidden` of a mixer's settings, or its default; 64 for a mixer that has none.

    Also for what is no mixer, or no width: make_mixer says what is wrong with it.
    """
    name = entry.get("name") if isinstance(entry, Mapping) else entry
    if not isinstance(name, str):
        return 64
    hidden = getattr(MIXERS.get(name, "mixers").Config(), "hidden", 64)
    given = entry.get("hidden") if isinstance(entry, Mapping) else None
    return given if isinstance(given, int) and given > 0 else int(hidden)
