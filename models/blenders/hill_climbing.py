"""Members added one after another, with replacement, as long as the metric gains (Caruana et al. 2004)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from models.blenders.base import BLENDERS, BlendData, WeightedBlender
from models.blenders.sample import sample_forecasts

_MOST_ROWS = 100_000
_ROUNDS = 100
_PATIENCE = 15  # rounds without a better mean
_LEAST_GAIN = 1e-7  # of the loss, relative


@BLENDERS.register("hill_climbing")
class HillClimbing(WeightedBlender):
    """Ensemble selection ("Ensemble Selection from Libraries of Models", ICML 2004, sections 2.1 and 2.2).

    It starts with the best members, as many as make the best mean ("sorted initialisation"), and then takes,
    round after round, the member whose addition to the mean is best under the metric. A member that is taken
    twice has twice the weight. The bag that was best on the way is kept. Weights are multiples of one over
    its size, so that they cannot follow the noise very far.
    """

    complexity: ClassVar[int] = 5

    def _fit(self, data: BlendData) -> None:
        data = sample_forecasts(data, _MOST_ROWS)
        members = data.members
        # Members come best first; the first so many of them.
        sums = np.cumsum(data.value, axis=1)
        starts = [data.loss(sums[:, last] / (last + 1)) for last in range(members)]
        last = int(np.argmin(starts))
        count = (np.arange(members) <= last).astype(np.int64)
        total, best, kept = sums[:, last], starts[last], count.copy()
        waited = 0
        for _ in range(_ROUNDS):
            size = count.sum() + 1
            losses = [data.loss((total + data.value[:, member]) / size) for member in range(members)]
            taken = int(np.argmin(losses))
            total = total + data.value[:, taken]
            count[taken] += 1
            if losses[taken] < best - _LEAST_GAIN * abs(best):
                best, kept, waited = losses[taken], count.copy(), 0
            else:
                waited += 1
                if waited == _PATIENCE:
                    break
        self.weight = kept / kept.sum()
