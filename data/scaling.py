"""Target transforms, and the location and scale that make targets of different sizes comparable.

First the transform that the competition declares (log1p, ...), then location and scale:
`scaled = (transform(y) - location) / scale`. Losses and metrics in original units invert both.
Every function takes numpy arrays and torch tensors alike and gives back what it got.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch

from data.errors import unknown

Array = TypeVar("Array", np.ndarray, torch.Tensor)

#: The least number above -1 in float32: log1p of it is finite in tensors as in arrays.
LEAST_ABOVE_MINUS_ONE = -1.0 + 2.0**-24

#: exp(x) for x beyond this overflows float32; no competition has targets there.
LARGEST_EXPONENT = 80.0


class TargetTransform(NamedTuple):
    """A monotone map of the target and its inverse; `lowest` is the least value that it takes."""

    forward: Callable[[Any], Any]
    inverse: Callable[[Any], Any]
    lowest: float | None


def _library(values: Any) -> Any:
    return torch if isinstance(values, torch.Tensor) else np


def _clip(values: Any, low: float | None, high: float | None) -> Any:
    return values.clamp(low, high) if isinstance(values, torch.Tensor) else np.clip(values, low, high)


TRANSFORMS: dict[str, TargetTransform] = {
    "none": TargetTransform(lambda y: y, lambda z: z, None),
    "log1p": TargetTransform(
        lambda y: _library(y).log1p(y),
        lambda z: _library(z).expm1(_clip(z, None, LARGEST_EXPONENT)),
        LEAST_ABOVE_MINUS_ONE,
    ),
    "log": TargetTransform(
        lambda y: _library(y).log(y), lambda z: _library(z).exp(_clip(z, None, LARGEST_EXPONENT)), 1e-12
    ),
    "sqrt": TargetTransform(lambda y: _library(y).sqrt(y), lambda z: _clip(z, 0.0, None) ** 2, 0.0),
}


def transform(name: str) -> TargetTransform:
    """The transform called `name`; InputError with the nearest names if there is none."""
    if name not in TRANSFORMS:
        raise unknown("target_transform", name, TRANSFORMS, "competition.target_transform")
    return TRANSFORMS[name]


def forward_transform(name: str, values: Array) -> Array:
    """Original units -> transformed units. Values below the transform's lowest are raised to it."""
    chosen = transform(name)
    return chosen.forward(values if chosen.lowest is None else _clip(values, chosen.lowest, None))


def inverse_transform(name: str, values: Array) -> Array:
    """Transformed units -> original units."""
    return transform(name).inverse(values)


#: How location and scale are found from the rows of a window before the origin.
SCALINGS = ("none", "mean", "standard", "robust", "constant")

#: A series whose spread is up to this share of its level stands still; its scale is then the level, or 1.
LEAST_SCALE = 1e-6


def location_and_scale(
    scaling: str, values: torch.Tensor, counted: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Location and scale of each window and target from the rows where `counted` is true.

    values: (B, L, K) transformed targets, any number where not counted; counted: (B, L, K) bool.
    Returns two (B, K) tensors; scale > 0. A window without counted rows gets (0, 1).

    mean      location 0, scale mean(|y|): for positive series that differ by factors
    standard  location mean, scale standard deviation
    robust    location median, scale interquartile range / 1.349; where that is 0, as of a series that is
              mostly 0, the standard deviation

    A series without a spread gets its level as scale, the mean of |y| (robust: |median|), or 1 if that is 0.
    """
    if scaling not in SCALINGS:
        raise unknown("scaling", scaling, SCALINGS, "windows.scaling")
    windows, rows, targets = values.shape
    zero = values.new_zeros(windows, targets)
    one = torch.ones_like(zero)
    if scaling in ("none", "constant") or rows == 0:
        return zero, one
    weight = counted.to(values.dtype)
    count = weight.sum(1).clamp(min=1.0)
    shown = values.masked_fill(~counted, 0.0)
    location, level = shown.sum(1) / count, shown.abs().sum(1) / count
    if scaling == "mean":
        location, scale = zero, level
    else:
        centred = (shown - location[:, None, :]) * weight
        scale = (centred.square().sum(1) / count).sqrt()
    if scaling == "robust":
        location, spread = _quartiles(values, counted)
        level = location.abs()
        scale = torch.where(_flat(spread, level), scale, spread)
    scale = torch.where(_flat(scale, level), torch.where(level > 0, level, one), scale)
    return location, scale


def _quartiles(values: torch.Tensor, counted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, K) median, and interquartile range as a deviation of normal values; 0 without counted rows."""
    hidden = values.masked_fill(~counted, float("nan"))
    first, median, third = torch.nanquantile(hidden, values.new_tensor([0.25, 0.5, 0.75]), dim=1)
    return median.nan_to_num(0.0), ((third - first) / 1.349).nan_to_num(0.0)


def _flat(scale: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
    """(B, K) bool: whether a spread is none, next to the level."""
    return scale <= LEAST_SCALE * level.clamp(min=1e-30)
