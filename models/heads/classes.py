"""classes: the target is the number of a class."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from data.errors import InputError
from data.schema import InputSchema
from models.heads.base import HEADS, Head, TrainingTargets
from models.heads.categorical import CategoricalHead
from models.heads.original_units import refuse_values, to_original, to_scaled


@HEADS.register("classes")
class ClassesHead(CategoricalHead):
    """A logit a class 0, 1, ..., `count` - 1; the forecast is the number of the likeliest class."""

    transforms: ClassVar[tuple[str, ...] | None] = ("none",)
    mixable: ClassVar[bool] = False

    @dataclass(frozen=True)
    class Config(Head.Config):
        """Settings."""

        count: int = 0  # classes; 0: as many as the training rows have

        def check(self, where: str) -> None:
            if self.count != 0 and self.count < 2:
                raise InputError(f"{where}.count: found {self.count}, expected 0 or a whole number from 2 on")

    def __init__(self, schema: InputSchema, config: Any = None) -> None:
        super().__init__(schema, config)
        if self.config.count < 2:
            raise InputError(
                f"fit.head_settings.count: found {self.config.count}, expected a number of classes from 2 on"
            )

    @property
    def outputs(self) -> int:
        return int(self.config.count)

    @property
    def levels(self) -> tuple[float, ...]:
        return ()

    @classmethod
    def learnt(cls, config: Any, targets: TrainingTargets, called: str) -> Any:
        if config.count == 0:
            refuse_values(targets, called, whole=True)
            return replace(config, count=max(2, int(targets.original.max(initial=0)) + 1))
        refuse_values(targets, called, whole=True, below=config.count)
        return config

    def labels(self, parameters: Tensor, target: Tensor) -> Tensor:
        number = to_original(parameters, target).round().long().clamp(0, self.outputs - 1)
        return torch.nn.functional.one_hot(number, self.outputs).to(parameters.dtype)

    def forecast(self, parameters: Tensor) -> Tensor:
        likeliest = self.logits(parameters).argmax(-1).to(parameters.dtype)
        return to_scaled(parameters, likeliest)[..., None]

    def draw(self, parameters: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return to_scaled(parameters, self.draw_category(parameters, generator).to(parameters.dtype))

    def summarise(self, draws: Tensor) -> Tensor:
        # The class drawn most often: numbers of classes have no order that a median could mean.
        return draws.mode(dim=0).values[..., None]
