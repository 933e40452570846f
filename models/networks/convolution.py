"""cnn_lstm and wavenet: convolutions for local patterns, then a recurrent layer for what is far away."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from data.configure import one_of
from data.schema import InputSchema
from models.mixers.tcn import levels_to_cover
from models.network import NETWORKS
from models.networks.stack import Stack, StackConfig


class ConvolutionalRecurrent(Stack):
    """A stack of a mixer of convolutions and, if `recurrent` says so, an LSTM; subclasses name the mixer."""

    #: What may follow the convolutions.
    followed_by: ClassVar[tuple[str, ...]] = ("lstm", "bilstm")

    @dataclass(frozen=True)
    class Config(StackConfig):
        """Settings with their defaults."""

        channels: int = 64  # of the convolutions
        kernel: int = 3
        centred: bool = True  # False: the convolutions of a row see no later row
        dropout: float = 0.0  # on the convolutions' output, and between the recurrent layers
        recurrent: str = "bilstm"  # what follows the convolutions
        hidden: int = 64  # units of each direction of the recurrent layers
        recurrent_layers: int = 1

    @abstractmethod
    def convolution_entry(self, schema: InputSchema, config: Any) -> dict[str, Any]:
        """The mixer of convolutions, as `make_mixer` takes it."""

    def mixer_entries(self, schema: InputSchema, config: Any) -> list[Any]:
        one_of(config.recurrent, self.followed_by, "recurrent", "recurrent")
        entries = [self.convolution_entry(schema, config)]
        if config.recurrent != "none":
            entries.append(
                {
                    "name": "lstm",
                    "hidden": config.hidden,
                    "layers": config.recurrent_layers,
                    "bidirectional": config.recurrent == "bilstm",
                    "dropout": config.dropout,
                }
            )
        return entries

    @classmethod
    def search(cls, trial: Any) -> dict[str, Any]:
        return {
            "channels": trial.suggest_categorical("channels", [32, 64, 128]),
            "kernel": trial.suggest_int("kernel", 2, 7),
            "dropout": trial.suggest_float("dropout", 0.0, 0.4),
            "recurrent": trial.suggest_categorical("recurrent", list(cls.followed_by)),
            "hidden": trial.suggest_categorical("hidden", [32, 64, 128, 256]),
            "recurrent_layers": trial.suggest_int("recurrent_layers", 1, 3),
            "static_state": trial.suggest_categorical("static_state", ["state", "concatenate", "both"]),
        }


@NETWORKS.register("cnn_lstm")
class CNNLSTMNetwork(ConvolutionalRecurrent):
    """Residual convolution blocks (models/mixers/conv.py), then an LSTM or a bidirectional one.

    x <- x + W silu(conv(norm(x))) for each block; h = LSTM(x). Rows stay rows: nothing is pooled, since each
    of them wants an output. The convolutions see `layers` (kernel - 1) rows beside a row, the LSTM the rest.
    Static metadata is the LSTM's initial state, and is added to the convolutions' input.
    """

    @dataclass(frozen=True)
    class Config(ConvolutionalRecurrent.Config):
        """Settings with their defaults."""

        layers: int = 2  # convolution blocks
        kernel: int = 5
        depthwise: bool = False  # one filter a channel instead of one a pair of channels

    def convolution_entry(self, schema: InputSchema, config: Any) -> dict[str, Any]:
        return {
            "name": "conv",
            "hidden": config.channels,
            "layers": config.layers,
            "kernel": config.kernel,
            "depthwise": config.depthwise,
            "causal": not config.centred,
            "dropout": config.dropout,
        }

    @classmethod
    def small(cls) -> Any:
        return cls.Config(channels=8, layers=1, kernel=3, hidden=8, static_width=8)

    @classmethod
    def variants(cls) -> list[Any]:
        causal = cls.Config(
            channels=8, layers=1, kernel=3, centred=False, recurrent="lstm", hidden=8, static_width=8
        )
        return [cls.small(), causal]

    @classmethod
    def search(cls, trial: Any) -> dict[str, Any]:
        return {
            **super().search(trial),
            "layers": trial.suggest_int("layers", 1, 4),
            "depthwise": trial.suggest_categorical("depthwise", [False, True]),
        }


@NETWORKS.register("wavenet")
class WaveNetNetwork(ConvolutionalRecurrent):
    """Gated dilated blocks with skip connections (models/mixers/wavenet.py), by themselves before a BiLSTM.

    Van den Oord et al. 2016. That a BiLSTM follows is what gold teams of the ventilator competition used;
    with recurrent=none it is WaveNet alone, in depth enough for a row to see the whole window.
    """

    followed_by = ("none", "lstm", "bilstm")

    @dataclass(frozen=True)
    class Config(ConvolutionalRecurrent.Config):
        """Settings with their defaults."""

        levels: int = 0  # of doubling dilation in a stack; 0: as many as cover a full window
        stacks: int = 1  # how often the dilations start at 1 again
        skip_channels: int = 0  # of the skip connections; 0: as many as `channels`

    def convolution_entry(self, schema: InputSchema, config: Any) -> dict[str, Any]:
        # A centred row sees only half of its receptive field on either side.
        rows = 2 * schema.length if config.centred else schema.length
        return {
            "name": "wavenet",
            "hidden": config.channels,
            "skip": config.skip_channels,
            "levels": config.levels or levels_to_cover(rows, config.kernel, convolutions=1),
            "stacks": config.stacks,
            "kernel": config.kernel,
            "dropout": config.dropout,
            "causal": not config.centred,
        }

    @classmethod
    def small(cls) -> Any:
        return cls.Config(channels=8, levels=2, hidden=8, static_width=8)

    @classmethod
    def variants(cls) -> list[Any]:
        return [
            cls.small(),
            cls.Config(channels=8, kernel=2, centred=False, recurrent="none", static_width=8),
            cls.Config(channels=8, levels=2, centred=False, recurrent="lstm", hidden=8, static_width=8),
        ]

    @classmethod
    def search(cls, trial: Any) -> dict[str, Any]:
        return {**super().search(trial), "stacks": trial.suggest_int("stacks", 1, 3)}
