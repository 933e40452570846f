"""lstm, bilstm, gru, bigru: stacked recurrent networks whose initial states come from static metadata."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from data.schema import InputSchema
from models.network import NETWORKS
from models.networks.stack import Stack, StackConfig


class RecurrentNetwork(Stack):
    """A stack of one recurrent mixer; subclasses name its cell and direction."""

    cell: ClassVar[str]
    bidirectional: ClassVar[bool] = False

    @dataclass(frozen=True)
    class Config(StackConfig):
        """Settings with their defaults."""

        hidden: int = 64  # units of each direction
        layers: int = 2
        dropout: float = 0.0  # between layers
        residual: bool = False  # each layer is added to its input
        layer_norm: bool = False  # over the features, after each layer
        forget_bias: float = 1.0
        chrono: int = 0  # T_max, the longest dependency expected, in rows; 0: forget_bias instead

    def mixer_entries(self, schema: InputSchema, config: Any) -> list[Any]:
        return [
            {
                "name": self.cell,
                "hidden": config.hidden,
                "layers": config.layers,
                "bidirectional": self.bidirectional,
                "dropout": config.dropout,
                "residual": config.residual,
                "layer_norm": config.layer_norm,
                "forget_bias": config.forget_bias,
                "chrono": config.chrono,
            }
        ]

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


@NETWORKS.register("lstm")
class LSTMNetwork(RecurrentNetwork):
    """Stacked LSTM. The horizon's rows are in the window, so it reads the known inputs up to each row."""

    cell = "lstm"
    causal = True


@NETWORKS.register("bilstm")
class BiLSTMNetwork(RecurrentNetwork):
    """Stacked bidirectional LSTM: each row also sees the known inputs of the rows after it."""

    cell = "lstm"
    bidirectional = True


@NETWORKS.register("gru")
class GRUNetwork(RecurrentNetwork):
    """Stacked GRU."""

    cell = "gru"
    causal = True


@NETWORKS.register("bigru")
class BiGRUNetwork(RecurrentNetwork):
    """Stacked bidirectional GRU."""

    cell = "gru"
    bidirectional = True
