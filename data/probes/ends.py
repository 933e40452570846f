"""The article's two looks at which ends of a row a model trained on `first_plus_last` uses, corrected.

After "How long dependencies can LSTM & T-CNN really remember?" (Katariya 2021). Its code takes 76 windows for
the first look, where the median has a standard error of 4 points, and ten for the second, where it
broadcasts (10,) against (10, 1) and averages a hundred differences. Take 2,000 windows and more.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from data.batch import SequenceBatch
from data.probes.first_plus_last import FirstPlusLast

#: A trained model: a batch -> (B, L, 1).
Predict = Callable[[SequenceBatch], Tensor]

FIRST, LAST = 0, -1


def ends_used(probe: FirstPlusLast, predict: Predict, batch: SequenceBatch) -> dict[str, float | None]:
    """change_first, change_last, blinding_first, blinding_last: by the end changed, or not blinded.

    None for a look whose predictions overflow, as those of a network that nothing bounds may with an end
    changed, though they are finite on the windows as they are.
    """
    looks = {
        "change_first": change(predict, batch, FIRST),
        "change_last": change(predict, batch, LAST),
        "blinding_first": blinding(probe, predict, batch, FIRST),
        "blinding_last": blinding(probe, predict, batch, LAST),
    }
    return {name: value if math.isfinite(value) else None for name, value in looks.items()}


def change(predict: Predict, batch: SequenceBatch, index: int, factor: float = 1.5) -> float:
    """Median over windows of (y' - y) / y: y' is predicted with x[index] (FIRST or LAST) times `factor`.

    A model of x[0] + x[-1] that uses both ends shows (factor - 1) / 2 for each, .25: x[0] / (x[0] + x[-1]) is
    Cauchy around 1/2 with scale 1/2, so the median of n windows has a standard error of .39 / sqrt(n). One
    that has forgotten an end shows 0 for it, and 1/2 for the other.
    """
    before = _last(predict, batch)
    real = batch.real.clone()
    real[:, index] *= factor
    moved = _last(predict, batch._replace(real=real)) - before
    return float(torch.where(moved == 0, 0.0, moved / before).median())


def blinding(probe: FirstPlusLast, predict: Predict, batch: SequenceBatch, index: int) -> float:
    """Mean squared error against f(x[index]) with x[index] = i / 10, i = 0, ..., 9, and 0 at the other end.

    The rows between stay as they are. Window n has the value (n mod 10) / 10: each value meets as many
    windows, and all of them on every window would be ten times the work. For the identity a model that has
    forgotten x[index] and says 0 gets .285, and the best constant .0825.
    """
    value = torch.arange(len(batch.length), device=batch.real.device) % 10 / 10
    real = batch.real.clone()
    real[:, LAST if index == FIRST else FIRST] = 0.0
    real[:, index, 0] = value
    truth = probe.function.of(value) + probe.function.of(torch.zeros_like(value))
    return float((_last(predict, batch._replace(real=real)) - truth.cpu()).square().mean())


def _last(predict: Predict, batch: SequenceBatch) -> Tensor:
    """(B,) float64 of the judged row, on the CPU."""
    with torch.no_grad():
        prediction = predict(batch._replace(target=None))
    expected = (*batch.weight.shape, 1)
    assert prediction.shape == expected, f"prediction: found {tuple(prediction.shape)}, expected {expected}"
    return prediction[:, -1, 0].double().cpu()
