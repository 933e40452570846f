"""tcn: the dilated temporal convolution network (Bai et al. 2018) as a stack of one mixer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from data.schema import InputSchema
from models.mixers.tcn import levels_to_cover
from models.network import NETWORKS
from models.networks.stack import Stack, StackConfig


@NETWORKS.register("tcn")
class TCNNetwork(Stack):
    """Causal, or centred on each row; by itself as deep as it takes for a row to see the whole window.

    Equations in models/mixers/tcn.py. A row sees 1 + 2 (k - 1) (2^n - 1) rows: with `layers` given by hand,
    what lies further back than that is out of its sight, however long it is trained.
    """

    @dataclass(frozen=True)
    class Config(StackConfig):
        """Settings with their defaults."""

        hidden: int = 64  # channels
        layers: int = 0  # levels of doubling dilation; 0: as many as cover a full window
        kernel: int = 3
        dropout: float = 0.0
        spatial_dropout: bool = False  # of whole channels of a window instead of single values
        centred: bool = False  # True: a row sees as far ahead as back

    def mixer_entries(self, schema: InputSchema, config: Any) -> list[Any]:
        # A centred row sees only half of its receptive field on either side.
        rows = 2 * schema.length if config.centred else schema.length
        return [
            {
                "name": "tcn",
                "hidden": config.hidden,
                "levels": config.layers or levels_to_cover(rows, config.kernel),
                "kernel": config.kernel,
                "dropout": config.dropout,
                "spatial_dropout": config.spatial_dropout,
                "causal": not config.centred,
            }
        ]

    @classmethod
    def small(cls) -> Any:
        return cls.Config(hidden=8, static_width=8)

    @classmethod
    def variants(cls) -> list[Any]:
        return [cls.small(), cls.Config(hidden=8, static_width=8, layers=2, centred=True)]

    @classmethod
    def search(cls, trial: Any) -> dict[str, Any]:
        return {
            "hidden": trial.suggest_categorical("hidden", [32, 64, 128]),
            "kernel": trial.suggest_int("kernel", 2, 8),
            "dropout": trial.suggest_float("dropout", 0.0, 0.4),
            "spatial_dropout": trial.suggest_categorical("spatial_dropout", [False, True]),
            "centred": trial.suggest_categorical("centred", [False, True]),
            "static_state": trial.suggest_categorical("static_state", ["state", "concatenate"]),
        }
