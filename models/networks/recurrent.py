"""Stacked recurrent layers that start from static metadata: rnn, lstm, bilstm, gru, bigru, janet, minlstm.

h^0 = W x + b for each row x, h^l = layer l (h^{l-1}) along the rows, output = head([h^n, h^0]). The initial
states of every layer and direction come from the static metadata (models/static_state.py). The cells'
equations stand at their mixers: models/mixers/rnn.py, janet.py and minlstm.py.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar

from data.schema import InputSchema
from models.network import NETWORKS
from models.networks.stack import Stack, StackConfig

#: A T_max for the chrono start of at least this many rows.
LEAST_CHRONO = 3


class RecurrentNetwork(Stack):
    """A stack of one recurrent mixer, named by `cell`; settings that no other stack has are the mixer's."""

    cell: ClassVar[str]
    bidirectional: ClassVar[bool] = False  # unless it is a setting

    @dataclass(frozen=True)
    class Config(StackConfig):
        """Settings with their defaults."""

        hidden: int = 64  # units of each direction
        layers: int = 2
        dropout: float = 0.0  # between layers; with residual or layer_norm: on each layer's output
        residual: bool = False  # each layer is added to its input
        layer_norm: bool = False  # over the features, after each layer

    def mixer_entries(self, schema: InputSchema, config: Any) -> list[Any]:
        shared = {field.name for field in fields(StackConfig)}
        own = {field.name: getattr(config, field.name) for field in fields(config)}
        entry = {"name": self.cell, "bidirectional": self.bidirectional}
        entry.update((name, value) for name, value in own.items() if name not in shared)
        if entry.get("chrono") == -1:
            entry["chrono"] = max(LEAST_CHRONO, schema.length)
        return [entry]

    @classmethod
    def small(cls) -> Any:
        return cls.Config(hidden=8, layers=2, static_width=8)

    @classmethod
    def search(cls, trial: Any) -> dict[str, Any]:
        return {
            "hidden": trial.suggest_categorical("hidden", [32, 64, 128, 256]),
            "layers": trial.suggest_int("layers", 1, 4),
            "dropout": trial.suggest_float("dropout", 0.0, 0.4),
            "residual": trial.suggest_categorical("residual", [False, True]),
            "layer_norm": trial.suggest_categorical("layer_norm", [False, True]),
            "static_state": trial.suggest_categorical("static_state", ["state", "concatenate", "both"]),
        }


class GatedNetwork(RecurrentNetwork):
    """Cells with a gate that keeps the past, whose bias has a start of its own (models/mixers/chrono.py)."""

    @dataclass(frozen=True)
    class Config(RecurrentNetwork.Config):
        """Settings with their defaults."""

        forget_bias: float = 1.0  # of the gate that keeps the past
        chrono: int = 0  # longest dependency expected, in rows; -1: the window; 0: forget_bias instead

    @classmethod
    def search(cls, trial: Any) -> dict[str, Any]:
        return {**super().search(trial), "chrono": trial.suggest_categorical("chrono", [0, -1])}


@NETWORKS.register("rnn")
class RNNNetwork(RecurrentNetwork):
    """Stacked Elman network. Without gates its memory fades fast (Bengio et al. 1994): a baseline."""

    cell = "rnn"

    @dataclass(frozen=True)
    class Config(RecurrentNetwork.Config):
        """Settings with their defaults."""

        bidirectional: bool = False  # True: each row also sees the known inputs of the rows after it

    @classmethod
    def variants(cls) -> list[Any]:
        return [
            cls.small(),
            cls.Config(hidden=8, layers=2, bidirectional=True, residual=True, static_width=8),
        ]

    @classmethod
    def search(cls, trial: Any) -> dict[str, Any]:
        both = trial.suggest_categorical("bidirectional", [False, True])
        return {**super().search(trial), "bidirectional": both}


@NETWORKS.register("lstm")
class LSTMNetwork(GatedNetwork):
    """Stacked LSTM. The horizon's rows are in the window, so it reads the known inputs up to each row."""

    cell = "lstm"
    causal = True

    @classmethod
    def variants(cls) -> list[Any]:
        return [
            cls.small(),
            cls.Config(hidden=8, layers=2, residual=True, layer_norm=True, chrono=-1, static_width=8),
        ]


@NETWORKS.register("bilstm")
class BiLSTMNetwork(GatedNetwork):
    """Stacked bidirectional LSTM: each row also sees the known inputs of the rows after it."""

    cell = "lstm"
    bidirectional = True


@NETWORKS.register("gru")
class GRUNetwork(GatedNetwork):
    """Stacked GRU."""

    cell = "gru"
    causal = True


@NETWORKS.register("bigru")
class BiGRUNetwork(GatedNetwork):
    """Stacked bidirectional GRU."""

    cell = "gru"
    bidirectional = True


class EitherWay(GatedNetwork):
    """Gated networks whose direction is a setting."""

    @dataclass(frozen=True)
    class Config(GatedNetwork.Config):
        """Settings with their defaults."""

        bidirectional: bool = False  # True: each row also sees the known inputs of the rows after it

    @classmethod
    def variants(cls) -> list[Any]:
        return [cls.small(), cls.Config(hidden=8, bidirectional=True, residual=True, static_width=8)]

    @classmethod
    def search(cls, trial: Any) -> dict[str, Any]:
        both = trial.suggest_categorical("bidirectional", [False, True])
        return {**super().search(trial), "bidirectional": both}


@NETWORKS.register("janet")
class JANETNetwork(EitherWay):
    """Stacked JANET: an LSTM with the forget gate alone, i = 1 - f (van der Westhuizen and Lasenby 2018).

    Beside an LSTM it tells what a tied input gate does, and beside a pLSTM what the power law adds to that.
    """

    cell = "janet"

    @dataclass(frozen=True)
    class Config(EitherWay.Config):
        """Settings with their defaults."""

        beta: float = 1.0  # how much more is written than was forgotten


@NETWORKS.register("minlstm")
class MinLSTMNetwork(EitherWay):
    """Stacked minLSTM: gates that see the inputs only, all rows at once (Feng et al. 2024).

    One layer decides what to keep from each row by itself; what depends on what was read before needs the
    layers above it.
    """

    cell = "minlstm"

    @dataclass(frozen=True)
    class Config(EitherWay.Config):
        """Settings with their defaults."""

        positive: bool = True  # the paper's positive candidates; False: plain linear ones
