"""What is known of a probe beforehand (chance, goal, published figures) and what is measured on it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from data.batch import SequenceBatch


class Chance(NamedTuple):
    """The score of a model that knows nothing of the window."""

    error: float  # in the probe's metric: MSE, or cross-entropy in nats
    accuracy: float | None = None  # where there are classes
    present: float | None = None  # error with a look at the judged row alone, where that beats `error`


class Goal(NamedTuple):
    """From where on a probe counts as solved: an error below, or an accuracy of at least; either will do."""

    error: float | None = None
    accuracy: float | None = None


class Published(NamedTuple):
    """A figure that someone else published, to stand beside ours."""

    model: str
    length: int | None  # None: at all lengths of the source
    metric: str  # error (in the probe's own metric), accuracy, or a name
    value: float
    source: str
    parameters: int | None = None
    setting: str = ""  # where it differs from the probe here, and how it was trained


class Scores(NamedTuple):
    """One number a window; chunks are joined by `joined`."""

    error: Tensor  # (B,) mean over the window's judged rows
    accuracy: Tensor | None  # (B,) share of its recalled rows whose class is right

    @classmethod
    def joined(cls, parts: Sequence[Scores]) -> Scores:
        """The windows of all parts, one after the other."""
        accuracies = [part.accuracy for part in parts if part.accuracy is not None]
        return cls(torch.cat([part.error for part in parts]), torch.cat(accuracies) if accuracies else None)


class Measured(NamedTuple):
    """Means over windows with their standard errors (of the mean, windows being independent)."""

    windows: int
    error: float
    error_deviation: float
    accuracy: float | None = None
    accuracy_deviation: float | None = None
    exact: float | None = None  # share of windows whose recalled rows are all right

    def error_interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Normal confidence interval of the error."""
        return _interval(self.error, self.error_deviation, confidence)

    def accuracy_interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Normal confidence interval of the accuracy; it must have been measured."""
        assert self.accuracy is not None
        assert self.accuracy_deviation is not None
        return _interval(self.accuracy, self.accuracy_deviation, confidence)

    @property
    def perplexity(self) -> float:
        """exp of the error, for cross-entropies."""
        return math.exp(self.error)


def summarise(scores: Scores) -> Measured:
    """Means and standard errors over the windows; one window has an infinite standard error."""
    error, deviation = _mean(scores.error)
    if scores.accuracy is None:
        return Measured(len(scores.error), error, deviation)
    accuracy, spread = _mean(scores.accuracy)
    exact = float((scores.accuracy == 1.0).double().mean())
    return Measured(len(scores.error), error, deviation, accuracy, spread, exact)


def score_values(prediction: Tensor, batch: SequenceBatch) -> Scores:
    """Squared error of (B, L, 1) predictions, mean over the judged rows of a window."""
    truth = _truth(prediction, 1, batch)
    each = (prediction.detach()[..., 0].double() - truth.double()).square()
    return Scores(_over_rows(each, batch.weight > 0), None)


def score_classes(prediction: Tensor, batch: SequenceBatch, classes: int, recalled: Tensor) -> Scores:
    """Cross-entropy in nats of (B, L, classes) logits over judged rows; accuracy over (B, L) `recalled`."""
    truth = _truth(prediction, classes, batch).long()
    each = functional.cross_entropy(
        prediction.detach().double().flatten(0, 1), truth.flatten(), reduction="none"
    )
    right = (prediction.argmax(-1) == truth).double()
    return Scores(_over_rows(each.view(truth.shape), batch.weight > 0), _over_rows(right, recalled))


def _truth(prediction: Tensor, outputs: int, batch: SequenceBatch) -> Tensor:
    assert batch.target is not None
    expected = (*batch.weight.shape, outputs)
    # (n,) against (n, 1) broadcasts to (n, n) and gives a plausible number that means nothing.
    assert prediction.shape == expected, f"prediction: found {tuple(prediction.shape)}, expected {expected}"
    return batch.target[..., 0]


def _over_rows(each: Tensor, rows: Tensor) -> Tensor:
    return each.masked_fill(~rows, 0.0).sum(1) / rows.sum(1)


def _mean(values: Tensor) -> tuple[float, float]:
    deviation = float(values.std()) / math.sqrt(len(values)) if len(values) > 1 else math.inf
    return float(values.mean()), deviation


def _interval(mean: float, deviation: float, confidence: float) -> tuple[float, float]:
    reach = NormalDist().inv_cdf(0.5 + confidence / 2) * deviation
    return mean - reach, mean + reach
