"""patch_transformer: a transformer whose tokens are patches of a series (PatchTST, Nie et al. 2023)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from data.batch import SequenceBatch
from data.errors import InputError
from data.schema import InputSchema
from models.layers.direct_forecast import DirectConfig, DirectForecast, by_target
from models.layers.transformer_encoder import TransformerEncoder
from models.network import NETWORKS

#: Added to the variance of an instance, as in RevIN: a series may stand still.
LEAST_VARIANCE = 1e-5


@NETWORKS.register("patch_transformer")
class PatchTransformer(DirectForecast):
    """PatchTST: "A Time Series is Worth 64 Words", ICLR 2023, arXiv 2211.14730, section 3.1.

    Every target by itself, all with the same weights: x is brought to mean 0 and deviation 1 within the
    window; its end is repeated `stride` times; the N patches x_n of `patch` rows, `stride` apart, become
    z_n = W_p x_n + w_n with learned positions w_n; after the encoder all of them side by side, times W_h,
    are the horizon, which gets mean and deviation back (RevIN, Kim et al. 2022, without its affine map).

    Published for contexts of 336 or 512 rows: patch 16, stride 8, hidden 128, 16 heads, 3 layers,
    feedforward 256, dropout 0.2. There the encoder has batch norms behind its parts and hands attention
    scores on from layer to layer; here it is the one of all of this project's networks, with layer norms.

    Mean and deviation are those of the rows that are known and judged. A patch without any such row (those
    before a short history among them) is not looked at, and is zero in the last map; other rows of a patch
    stand at the mean.
    """

    @dataclass(frozen=True)
    class Config(DirectConfig):
        """Settings with their defaults."""

        patch: int = 16  # rows; no more than the context has
        stride: int = 8
        hidden: int = 64
        heads: int = 4  # must divide hidden
        layers: int = 3
        feedforward: int = 0  # width between the two maps after attention; 0: twice hidden
        dropout: float = 0.2

    def __init__(self, schema: InputSchema, config: Any, outputs: int = 1) -> None:
        super().__init__(schema, config, outputs)
        if config.patch < 1 or config.stride < 1:
            raise InputError(f"patch: {config.patch}, stride: {config.stride}; expected at least 1 of each")
        hidden = config.hidden
        self.patch = min(config.patch, schema.context)
        self.stride = min(config.stride, self.patch)
        patches = (schema.context + self.stride - self.patch) // self.stride + 1
        self.project = nn.Linear(self.patch, hidden)
        self.position = nn.Parameter(0.02 * torch.randn(patches, hidden))
        self.encoder = TransformerEncoder(
            hidden, config.heads, config.layers, config.feedforward or 2 * hidden, config.dropout
        )
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(patches * hidden, schema.horizon * outputs)

    def direct(self, past: Tensor, there: Tensor, counted: Tensor, batch: SequenceBatch) -> Tensor:
        targets = past.shape[2]
        centred, mean, deviation = standardise(past, counted)
        patches = cut_patches(centred.transpose(1, 2), self.patch, self.stride)  # (B, K, N, patch)
        seen = cut_patches(counted, self.patch, self.stride).any(-1)  # (B, N)
        # Also the patch at the origin of a window without a known row: attention needs a row to look at.
        seen[:, -1] = True
        seen = seen.repeat_interleave(targets, dim=0)  # (B * K, N)
        tokens = self.dropout(self.project(patches.flatten(0, 1)) + self.position)
        encoded = self.encoder(tokens, None if bool(seen.all()) else seen)
        encoded = encoded.masked_fill(~seen[:, :, None], 0.0)
        steps = self.head(self.dropout(encoded.flatten(1))).unflatten(0, (-1, targets))  # (B, K, H * P)
        return self._restored(by_target(steps, self.schema.horizon), mean, deviation)

    def _restored(self, steps: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
        """(B, H, K * P) with the instance's mean and deviation (B, 1, K), where outputs are values."""
        parts = steps.unflatten(-1, (-1, self.outputs))  # (B, H, K, P)
        value = torch.arange(self.outputs, device=steps.device) < self.level_outputs
        scaled = torch.where(value, parts * deviation[..., None], parts).flatten(2)
        return self.add_level(scaled, mean.expand(-1, self.schema.horizon, -1))

    @classmethod
    def small(cls) -> Any:
        return cls.Config(
            patch=4, stride=2, hidden=8, heads=2, layers=1, feedforward=16, dropout=0.0, static_width=8
        )

    @classmethod
    def variants(cls) -> list[Any]:
        # The second has fewer rows than one patch.
        return [cls.small(), cls.Config(hidden=8, heads=1, layers=1, dropout=0.0, static_width=8)]

    @classmethod
    def search(cls, trial: Any) -> dict[str, Any]:
        return {
            **super().search(trial),
            "patch": trial.suggest_categorical("patch", [8, 16, 24, 32]),
            "stride": trial.suggest_categorical("stride", [4, 8]),
            "hidden": trial.suggest_categorical("hidden", [16, 64, 128]),
            "heads": trial.suggest_categorical("heads", [4, 8, 16]),
            "layers": trial.suggest_int("layers", 1, 4),
            "dropout": trial.suggest_float("dropout", 0.0, 0.4),
        }


def standardise(past: Tensor, counted: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(B, C, K) at mean 0 and deviation 1 over the rows that are `counted` (B, C), 0 in others.

    Also returns the mean and the deviation, (B, 1, K) each; 0 and 1 where no row is.
    """
    shown = counted[:, :, None]
    rows = shown.sum(1, keepdim=True)
    count = rows.clamp(min=1)
    mean = past.masked_fill(~shown, 0.0).sum(1, keepdim=True) / count
    centred = (past - mean).masked_fill(~shown, 0.0)
    deviation = (centred.square().sum(1, keepdim=True) / count + LEAST_VARIANCE).sqrt()
    deviation = deviation.masked_fill(rows == 0, 1.0)
    return centred / deviation, mean, deviation


def cut_patches(series: Tensor, patch: int, stride: int) -> Tensor:
    """(..., C) -> (..., N, patch): the end repeated `stride` times, then every `stride` rows a patch."""
    end = series[..., -1:].expand(*series.shape[:-1], stride)
    return torch.cat([series, end], dim=-1).unfold(-1, patch, stride)
