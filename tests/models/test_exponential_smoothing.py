"""Exponential smoothing in blocks against the recursion row by row, and where it starts from."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.layers.exponential_smoothing import (
    LONGEST_BLOCK,
    Seasonality,
    repeated,
    smooth,
    starting_factors,
    starting_level,
)

KINDS = {"multiplicative": Seasonality(True), "additive": Seasonality(False)}


def by_rows(
    value: np.ndarray,
    known: np.ndarray,
    level: float,
    seasonal: list[np.ndarray],
    rates: list[float],
    multiplicative: bool,
) -> tuple[np.ndarray, list[np.ndarray]]:
    """The equations of the module, a row of one window at a time."""
    rows = len(value)
    factors = [np.concatenate([start, np.full(rows, np.nan)]) for start in seasonal]
    levels = np.empty(rows)
    for t in range(rows):
        now = [factor[t] for factor in factors]
        together = np.prod(now) if multiplicative else np.sum(now)
        if known[t]:
            bare = value[t] / together if multiplicative else value[t] - together
            level = rates[0] * bare + (1 - rates[0]) * level
        levels[t] = level
        for k, start in enumerate(seasonal):
            seen = now[k]
            if known[t]:
                others = together / now[k] if multiplicative else together - now[k]
                seen = value[t] / (level * others) if multiplicative else value[t] - level - others
            factors[k][t + len(start)] = rates[k + 1] * seen + (1 - rates[k + 1]) * now[k]
    return levels, [factor[:rows] for factor in factors]


@pytest.mark.parametrize("periods", [(), (3,), (2, 5), (4, 6, 12), (LONGEST_BLOCK + 9,)])
@pytest.mark.parametrize("name", KINDS)
def test_blocks_are_the_recursion_row_by_row(name: str, periods: tuple[int, ...]) -> None:
    kind = KINDS[name]
    generator = np.random.default_rng(0)
    windows, rows = 3, 2 * LONGEST_BLOCK + 11
    value = generator.gamma(5.0, 1.0, (windows, rows)) + 0.5
    known = generator.random((windows, rows)) < 0.8
    known[0] = True
    known[1, 40:] = False
    level = generator.gamma(5.0, 1.0, windows)
    seasonal = [generator.uniform(0.5, 1.5, (windows, period)) for period in periods]
    rates = generator.uniform(0.05, 0.95, (windows, 1 + len(periods)))
    rates[2, 0] = 0.9999
    found = smooth(
        torch.tensor(value),
        torch.tensor(known),
        torch.tensor(level),
        [torch.tensor(start) for start in seasonal],
        torch.tensor(rates[:, 0]),
        list(torch.tensor(rates[:, 1:]).unbind(1)),
        kind,
    )
    for window in range(windows):
        levels, factors = by_rows(
            value[window],
            known[window],
            level[window],
            [start[window] for start in seasonal],
            list(rates[window]),
            kind.multiplicative,
        )
        np.testing.assert_allclose(found.level[window], levels, rtol=1e-9)
        for one, other in zip(found.seasonal, factors, strict=True):
            np.testing.assert_allclose(one[window], other, rtol=1e-9)


@pytest.mark.parametrize("name", KINDS)
def test_gradients_of_everything_that_is_trained(name: str) -> None:
    generator = torch.Generator().manual_seed(0)

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64) * 0.8 + 0.1

    value, known = uniform(2, 9) + 1.0, torch.rand(2, 9, generator=generator) < 0.8
    arguments = [uniform(2), uniform(2, 2), uniform(2, 3), uniform(2), uniform(2), uniform(2)]

    def run(*given: torch.Tensor) -> torch.Tensor:
        level, first, second, *rates = given
        smoothed = smooth(value, known, level, [first, second], rates[0], rates[1:], KINDS[name])
        return torch.stack([smoothed.level, *smoothed.seasonal])

    assert torch.autograd.gradcheck(run, [argument.requires_grad_() for argument in arguments])


@pytest.mark.parametrize("name", KINDS)
def test_a_season_without_noise_is_found_and_goes_on(name: str) -> None:
    """Two seasons on a level: whatever the rates, the smoothing goes on over the horizon as it was."""
    kind = KINDS[name]
    shape = [torch.tensor([0.5, 1.5]), torch.tensor([0.8, 1.3, 0.9])]
    shape = [part - part.mean() + kind.neutral for part in shape]
    series = torch.full((1, 30), 40.0 if kind.multiplicative else 4.0)
    for part in shape:
        series = kind.join(series, repeated(part[None], 30))
    known = torch.arange(30)[None] < 23
    bare, found = series, []
    for period in (2, 3):
        factors = starting_factors(bare, known, torch.tensor([23]), period, kind)
        found.append(factors)
        bare = kind.remove(bare, repeated(factors, 30))
    level = starting_level(bare, known, 2, kind.neutral)
    rates = [torch.tensor([0.3]), torch.tensor([0.6])]
    smoothed = smooth(torch.where(known, series, 1.0), known, level, found, torch.tensor([0.4]), rates, kind)
    again = smoothed.level[:, -1:]
    for factors in smoothed.seasonal:
        again = kind.join(again, factors)
    # Two seasons that cross leave, in a season's mean, a trace of the other one where it is not whole.
    torch.testing.assert_close(again, series, rtol=0.02 if kind.multiplicative else 0.1, atol=0.1)


def test_starting_factors_look_at_known_rows_of_whole_seasons_before_the_end() -> None:
    kind = KINDS["multiplicative"]
    series = torch.tensor([[1.0, 3.0, 5.0, 2.0, 6.0, 7.0, 1.0, 9.0, 900.0]])
    known = torch.tensor([[1, 1, 0, 1, 1, 0, 1, 1, 1]]).bool()
    # Two whole seasons of three rows end before row 8; their third row is never known.
    found = starting_factors(series, known, torch.tensor([8]), 3, kind)
    torch.testing.assert_close(found, torch.tensor([[0.5, 1.5, 1.0]]))
    short = starting_factors(series, known, torch.tensor([2]), 3, kind)
    torch.testing.assert_close(short, torch.ones(1, 3))


def test_starting_level_falls_back_where_nothing_is_known() -> None:
    bare = torch.tensor([[1.0, 2.0, 6.0, 8.0]] * 3)
    known = torch.tensor([[1, 1, 1, 1], [0, 0, 1, 1], [0, 0, 0, 0]]).bool()
    torch.testing.assert_close(starting_level(bare, known, 2, 5.0), torch.tensor([1.5, 7.0, 5.0]))
