"""ventilator_hybrid: residual BiLSTM blocks, then convolutions joined with transformers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from data.schema import InputSchema
from models.network import NETWORKS
from models.networks.stack import Stack, StackConfig


@NETWORKS.register("ventilator_hybrid")
class VentilatorHybrid(Stack):
    """Model B of the first place in Google Brain's Ventilator Pressure Prediction (Kaggle 2021).

    x_0 = W inputs; x_i = LayerNorm(x + feedforward(BiLSTM(x))) for each of `recurrent_blocks`; then for each
    of `kernels` x = LayerNorm(x + conv^T(encoder(conv(x)))); the head is linear. Every layer and direction of
    the LSTMs starts in a state that the static metadata gives (there R and C were inputs of every row).

    The published sizes are hidden 256, 3 blocks, kernels 5, 3, 1, 16 heads and feed-forward parts of 1024,
    four times hidden as here: hidden=256 heads=16. The defaults are what a laptop trains in minutes.
    """

    @dataclass(frozen=True)
    class Config(StackConfig):
        """Settings with their defaults."""

        hidden: int = 64  # of everything, and units of each direction of the LSTMs
        recurrent_blocks: int = 3
        kernels: list[int] = field(default_factory=lambda: [5, 3, 1])  # of the convolutional blocks
        heads: int = 4  # must divide hidden
        feedforward: int = 0  # width inside all feed-forward parts; 0: four times hidden
        dropout: float = 0.0
        head: str = "linear"
        skip: bool = False

    def mixer_entries(self, schema: InputSchema, config: Any) -> list[Any]:
        shared = {"hidden": config.hidden, "feedforward": config.feedforward, "dropout": config.dropout}
        return [
            {"name": "residual_lstm", "layers": config.recurrent_blocks, **shared},
            {
                "name": "conv_transformer",
                "kernels": list(config.kernels),
                "heads": config.heads,
                **shared,
            },
        ]

    @classmethod
    def small(cls) -> Any:
        return cls.Config(
            hidden=8, recurrent_blocks=1, kernels=[3, 1], heads=2, feedforward=12, static_width=8
        )

    @classmethod
    def search(cls, trial: Any) -> dict[str, Any]:
        return {
            "hidden": trial.suggest_categorical("hidden", [32, 64, 128, 256]),
            "heads": trial.suggest_categorical("heads", [4, 8, 16]),
            "recurrent_blocks": trial.suggest_int("recurrent_blocks", 1, 3),
            "kernels": [5, 3, 1][: trial.suggest_int("convolutional_blocks", 1, 3)],
            "dropout": trial.suggest_float("dropout", 0.0, 0.3),
        }
