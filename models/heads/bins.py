"""bins: regression as classification on a grid."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from data.errors import InputError
from data.scaling import forward_transform, inverse_transform
from data.schema import InputSchema
from models.heads.base import HEADS, TrainingTargets
from models.heads.categorical import CategoricalHead
from models.heads.distribution import ProbabilisticHead
from models.heads.original_units import to_original, to_scaled


@HEADS.register("bins")
class BinsHead(CategoricalHead, ProbabilisticHead):
    """A probability for each of `count` values start + step * (0, 1, ...); the median is the point.

    With start and step the values are a grid of original units, and what is forecast is one of them. Without,
    they divide the range of the scaled training targets evenly, and a value may lie anywhere in its bin.

    Labels are smoothed: a target between bins, or beside one, gives them weights exp(-d^2 / (2 s^2)) with its
    distance d in bins and s = `smoothing`, normed to a sum of 1; with s = 0 the nearest bin gets all.
    """

    @dataclass(frozen=True)
    class Config(ProbabilisticHead.Config):
        """Settings."""

        start: float | None = None  # the least value, original units; null: of the training rows
        step: float | None = None  # between two values; null with start
        count: int = 200
        smoothing: float = 1.0
        scaled: bool = False  # start and step are of scaled targets (set by the training rows)

        def check(self, where: str) -> None:
            super().check(where)
            if (self.start is None) != (self.step is None):
                raise InputError(f"{where}: bins need start and step, or neither")
            if self.step is not None and self.step <= 0:
                raise InputError(f"{where}.step: found {self.step:g}, expected a number above 0")
            if self.count < 2:
                raise InputError(f"{where}.count: found {self.count}, expected a whole number from 2 on")
            if self.smoothing < 0:
                raise InputError(f"{where}.smoothing: found {self.smoothing:g}, expected a number from 0 on")

    def __init__(self, schema: InputSchema, config: Any = None) -> None:
        super().__init__(schema, config)
        if self.config.start is None:
            raise InputError(
                "fit.head_settings: bins need start and step, unless a fit takes them from its rows"
            )

    @property
    def outputs(self) -> int:
        return int(self.config.count)

    @property
    def discrete(self) -> bool:
        return not self.config.scaled

    @classmethod
    def learnt(cls, config: Any, targets: TrainingTargets, called: str) -> Any:
        if config.start is not None or config.step is not None:
            return config
        value = targets.scaled()
        low, high = (float(value.min()), float(value.max())) if value.size else (-1.0, 1.0)
        step = max(high - low, 1e-6) / max(1, config.count - 1)
        return replace(config, start=low, step=step, scaled=True)

    def value(self, parameters: Tensor, place: Tensor) -> Tensor:
        """(..., K, P + 2), places in bins (..., K) or (..., K, n) -> the same shape: scaled values."""
        value = self.config.start + self.config.step * place
        if self.config.scaled:
            return value
        return to_scaled(parameters, forward_transform(self.schema.target_transform, value))

    def place(self, parameters: Tensor, target: Tensor) -> Tensor:
        """(..., K): where scaled targets lie, in bins from 0 to P - 1."""
        if not self.config.scaled:
            target = inverse_transform(self.schema.target_transform, to_original(parameters, target))
        return ((target - self.config.start) / self.config.step).clamp(0, self.outputs - 1)

    def labels(self, parameters: Tensor, target: Tensor) -> Tensor:
        place = self.place(parameters, target)
        if self.config.smoothing == 0:
            return torch.nn.functional.one_hot(place.round().long(), self.outputs).to(parameters.dtype)
        number = torch.arange(self.outputs, device=place.device, dtype=place.dtype)
        return (-0.5 * ((number - place[..., None]) / self.config.smoothing).square()).softmax(-1)

    def mean(self, parameters: Tensor) -> Tensor:
        share = self.logits(parameters).softmax(-1)
        place = torch.arange(self.outputs, device=share.device, dtype=share.dtype)
        return (share * self.value(parameters, place.expand_as(share))).sum(-1)

    def quantile(self, parameters: Tensor, level: Tensor) -> Tensor:
        share = self.logits(parameters).softmax(-1)
        # On a GPU this sum is refused where results have to repeat bit for bit; a forecast can wait for it.
        upto = share.cpu().cumsum(-1).to(share.device)
        level = level.expand(*upto.shape[:-1], -1)
        number = torch.searchsorted(upto, level.contiguous()).clamp(max=self.outputs - 1)
        if not self.config.scaled:
            return self.value(parameters, number)
        own = share.gather(-1, number)
        inside = (level - (upto.gather(-1, number) - own)) / own.clamp(min=1e-30)
        return self.value(parameters, number + inside.clamp(0.0, 1.0) - 0.5)

    def draw(self, parameters: Tensor, generator: torch.Generator | None = None) -> Tensor:
        number = self.draw_category(parameters, generator)
        if not self.config.scaled:
            return self.value(parameters, number)
        inside = torch.rand(number.shape, generator=generator, device=number.device, dtype=parameters.dtype)
        return self.value(parameters, number + inside - 0.5)
