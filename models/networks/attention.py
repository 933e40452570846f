"""transformer, transformer_time2vec, cnn_attention: stacks of attention that count rows from the origin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from data.batch import SequenceBatch
from data.schema import InputSchema
from models.layers.positions import make_positions
from models.network import NETWORKS
from models.networks.stack import Stack, StackConfig


@dataclass(frozen=True)
class AttentionConfig(StackConfig):
    """Settings that every stack with attention has."""

    hidden: int = 64
    heads: int = 4  # must divide hidden
    layers: int = 2
    feedforward: int = 0  # width between the two maps after attention; 0: four times hidden
    dropout: float = 0.1
    causal: bool = False  # True: a row looks at no row after it
    positions: str = "sinusoidal"  # sinusoidal, learned, time2vec, none
    components: int = 16  # sines of time2vec


class AttentionNetwork(Stack):
    """A stack whose rows know where they stand: positions are added to the embedded inputs.

    Sinusoidal and learned ones are those of the step from the origin, t - origin: one hour before the origin
    is the same place in a short window as in a long one. Time2Vec's sines read the time that series share.
    """

    def __init__(self, schema: InputSchema, config: Any, outputs: int = 1) -> None:
        super().__init__(schema, config, outputs)
        self.positions = make_positions(
            config.positions,
            self.embedding.width,
            schema.length,
            -schema.context,
            config.components,
            schema.seasonality,
        )

    def embed(self, batch: SequenceBatch) -> Tensor:
        embedded = super().embed(batch)
        if self.positions is None:
            return embedded
        step = torch.arange(batch.rows, device=batch.origin.device)[None, :] - batch.origin[:, None]
        placed: Tensor = embedded + self.positions(step, batch.time)
        return placed

    def mixer_entries(self, schema: InputSchema, config: Any) -> list[Any]:
        return [
            {
                "name": "attention",
                "hidden": config.hidden,
                "heads": config.heads,
                "layers": config.layers,
                "feedforward": config.feedforward,
                "dropout": config.dropout,
                "causal": config.causal,
                "positions": "none",
            }
        ]

    @classmethod
    def search(cls, trial: Any) -> dict[str, Any]:
        return {
            "hidden": trial.suggest_categorical("hidden", [32, 64, 128, 256]),
            "heads": trial.suggest_categorical("heads", [2, 4, 8]),
            "layers": trial.suggest_int("layers", 1, 4),
            "dropout": trial.suggest_float("dropout", 0.0, 0.4),
            "static_state": trial.suggest_categorical("static_state", ["state", "none"]),
        }


@NETWORKS.register("transformer")
class TransformerNetwork(AttentionNetwork):
    """Transformer encoder (Vaswani et al. 2017) over the window, history and horizon alike; norms in front.

    The rows from the origin on are in the window with what is known of them, so no decoder is needed: they
    look at the history, and at each other unless `causal`.
    """

    @dataclass(frozen=True)
    class Config(AttentionConfig):
        """Settings with their defaults."""

    @classmethod
    def small(cls) -> Any:
        return cls.Config(hidden=8, heads=2, layers=1, feedforward=16, dropout=0.0, static_width=8)

    @classmethod
    def variants(cls) -> list[Any]:
        return [
            cls.small(),
            cls.Config(
                hidden=8,
                heads=2,
                layers=2,
                feedforward=8,
                dropout=0.0,
                static_width=8,
                causal=True,
                positions="learned",
                width=6,
            ),
        ]

    @classmethod
    def search(cls, trial: Any) -> dict[str, Any]:
        positions = trial.suggest_categorical("positions", ["sinusoidal", "learned"])
        return {**super().search(trial), "positions": positions}


@NETWORKS.register("transformer_time2vec")
class TransformerTime2Vec(AttentionNetwork):
    """The transformer with Time2Vec (Kazemi et al. 2019) for positions.

    Its frequencies start at the competition's seasonalities and are learned from there.
    """

    @dataclass(frozen=True)
    class Config(AttentionConfig):
        """Settings with their defaults."""

        positions: str = "time2vec"

    @classmethod
    def small(cls) -> Any:
        return cls.Config(
            hidden=8, heads=2, layers=1, feedforward=16, dropout=0.0, static_width=8, components=4
        )

    @classmethod
    def search(cls, trial: Any) -> dict[str, Any]:
        components = trial.suggest_categorical("components", [8, 16, 32])
        return {**super().search(trial), "components": components}


@NETWORKS.register("cnn_attention")
class CNNAttention(AttentionNetwork):
    """Convolutions for the shape of the neighbourhood, then attention among the shapes that they found."""

    @dataclass(frozen=True)
    class Config(AttentionConfig):
        """Settings with their defaults."""

        kernel: int = 5
        convolutions: int = 2  # blocks

    def mixer_entries(self, schema: InputSchema, config: Any) -> list[Any]:
        convolution = {
            "name": "conv",
            "hidden": config.hidden,
            "layers": config.convolutions,
            "kernel": config.kernel,
            "dropout": config.dropout,
            "causal": config.causal,
        }
        return [convolution, *super().mixer_entries(schema, config)]

    @classmethod
    def small(cls) -> Any:
        return cls.Config(
            hidden=8,
            heads=2,
            layers=1,
            feedforward=16,
            dropout=0.0,
            static_width=8,
            kernel=3,
            convolutions=1,
        )

    @classmethod
    def search(cls, trial: Any) -> dict[str, Any]:
        return {
            **super().search(trial),
            "kernel": trial.suggest_int("kernel", 2, 9),
            "convolutions": trial.suggest_int("convolutions", 1, 3),
        }
