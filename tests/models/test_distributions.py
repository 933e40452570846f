"""Distribution heads: likelihoods and quantiles against scipy, draws against the distribution function."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import special, stats

from data.errors import InputError
from models.heads import HEADS, TrainingTargets, choose_head
from models.heads.distribution import DistributionHead
from models.units import Units
from tests.batches import make_schema

LEVELS = (0.05, 0.3, 0.5, 0.8, 0.99)
DISTRIBUTIONS = [name for name, kind in HEADS.items() if kind.loss == "nll"]
COUNTS = [name for name in DISTRIBUTIONS if HEADS.get(name).transforms == ("none",)]

#: Location and scale of the windows: small and large series, as windows.scaling=standard and =mean have them.
UNITS = Units("none", torch.tensor([[3.0], [40.0], [0.0]]), torch.tensor([[2.0], [10.0], [6.0]]))


def make(name: str, **settings: Any) -> DistributionHead:
    head = choose_head(name, make_schema(quantile=LEVELS), settings)
    assert isinstance(head, DistributionHead)
    return head


def parameters_of(head: DistributionHead, rows: int = 4) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return head(torch.randn(3, rows, head.outputs, generator=generator), UNITS)


class Tweedie:
    """Compound Poisson-gamma, summed up plainly."""

    def __init__(self, mean: float, dispersion: float, power: float) -> None:
        self.rate = mean ** (2 - power) / (dispersion * (2 - power))
        self.alpha = (2 - power) / (power - 1)
        self.scale = dispersion * (power - 1) * mean ** (power - 1)
        self.number = np.arange(1, 40_000)
        self.share = stats.poisson.pmf(self.number, self.rate)

    def logpdf(self, value: float) -> float:
        if value == 0:
            return -self.rate
        amount = stats.gamma.logpdf(value, self.number * self.alpha, scale=self.scale)
        return float(special.logsumexp(stats.poisson.logpmf(self.number, self.rate) + amount))

    def cdf(self, value: float) -> float:
        part = stats.gamma.cdf(value, self.number * self.alpha, scale=self.scale)
        return float(np.exp(-self.rate) + np.sum(self.share * part))


class Inflated:
    """0 with probability pi, else the law."""

    def __init__(self, law: Any, logit: float) -> None:
        self.law, self.pi = law, 1 / (1 + np.exp(-logit))

    def logpmf(self, value: float) -> float:
        return float(np.log(self.pi * (value == 0) + (1 - self.pi) * self.law.pmf(value)))

    def cdf(self, value: float) -> float:
        return float(self.pi + (1 - self.pi) * self.law.cdf(value))


def negative_binomial(mean: float, shape: float) -> Any:
    return stats.nbinom(1 / shape, 1 / (1 + mean * shape))


#: Name: the law of scipy (or plain) from a head's parameters.
PLAIN: dict[str, Any] = {
    "gaussian": lambda p: stats.norm(p[0], p[1]),
    "laplace": lambda p: stats.laplace(p[0], p[1]),
    "student_t": lambda p: stats.t(p[2], p[0], p[1]),
    "poisson": lambda p: stats.poisson(p[0]),
    "negative_binomial": lambda p: negative_binomial(p[0], p[1]),
    "tweedie": lambda p: Tweedie(p[0], p[1], 1.5),
    "zero_inflated_poisson": lambda p: Inflated(stats.poisson(p[0]), p[1]),
    "zero_inflated_negative_binomial": lambda p: Inflated(negative_binomial(p[0], p[1]), p[2]),
}


def original(name: str, scaled: torch.Tensor) -> np.ndarray:
    """Scaled values (3, ...) in the units of the head's law."""
    if name not in COUNTS:
        return scaled.double().numpy()
    shape = (3, *(1,) * (scaled.dim() - 1))
    return (UNITS.location.reshape(shape) + UNITS.scale.reshape(shape) * scaled).double().numpy()


def values_for(name: str) -> np.ndarray:
    """(3, 4, 1) targets in the units of the head's law, zeros among them."""
    generator = np.random.default_rng(0)
    if name not in COUNTS:
        return generator.normal(size=(3, 4, 1))
    value = generator.poisson(np.array([3.0, 40.0, 6.0])[:, None, None], size=(3, 4, 1)).astype(float)
    value[:, 0] = 0.0
    return value if name != "tweedie" else value * 1.37


def test_all_are_compared() -> None:
    assert set(PLAIN) == set(DISTRIBUTIONS)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_likelihood(name: str) -> None:
    head = make(name)
    parameters = parameters_of(head)
    value = values_for(name)
    if name in COUNTS:
        scaled = (value - UNITS.location.numpy()[:, None]) / UNITS.scale.numpy()[:, None]
    else:
        scaled = value
    found = head.log_likelihood(parameters, torch.from_numpy(scaled).float()).numpy()
    for place in np.ndindex(3, 4, 1):
        law = PLAIN[name](parameters[place].double().numpy())
        density = law.logpmf if hasattr(law, "logpmf") else law.logpdf
        expected = (
            density(value[place])
            if name not in ("poisson", "negative_binomial")
            else density(int(value[place]))
        )
        assert found[place] == pytest.approx(float(expected), rel=2e-4, abs=2e-4), (place, value[place])


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_quantiles(name: str) -> None:
    head = make(name)
    parameters = parameters_of(head)
    forecast = head.forecast(parameters)
    torch.testing.assert_close(forecast[..., 0], forecast[..., 1 + LEVELS.index(0.5)])
    found = original(name, forecast[..., 1:])
    for place in np.ndindex(3, 4, 1):
        law = PLAIN[name](parameters[place].double().numpy())
        for index, level in enumerate(LEVELS):
            value = found[*place, index]
            if hasattr(law, "ppf"):
                assert value == pytest.approx(float(law.ppf(level)), rel=1e-4, abs=1e-4)
            elif name == "tweedie":
                expected = level if law.cdf(0.0) < level else law.cdf(0.0)
                assert law.cdf(value) == pytest.approx(expected, abs=1e-4)
            else:
                assert value == pytest.approx(round(value), abs=1e-4)
                assert law.cdf(round(value)) >= level - 1e-6
                assert round(value) == 0 or law.cdf(round(value) - 1) < level + 1e-6


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_draws_follow_the_distribution(name: str) -> None:
    head = make(name)
    parameters = parameters_of(head)[1, 2]
    drawn = head.draw(parameters.expand(5000, *parameters.shape), torch.Generator().manual_seed(0))
    value = (drawn * UNITS.scale[1] + UNITS.location[1] if name in COUNTS else drawn).double().numpy()[:, 0]
    law = PLAIN[name](parameters[0].double().numpy())
    for at in np.quantile(value, [0.02, 0.2, 0.5, 0.8, 0.98]):
        at = round(at) if name in COUNTS and name != "tweedie" else at
        share = np.mean(value <= at + 1e-3)
        assert share == pytest.approx(float(law.cdf(at)), abs=4 * 0.5 / np.sqrt(5000))


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_gradients_are_those_of_differences(name: str) -> None:
    head = make(name)
    generator = torch.Generator().manual_seed(1)
    output = torch.randn(3, 4, head.outputs, generator=generator, dtype=torch.float64)
    value = values_for(name)
    units = Units("none", UNITS.location.double(), UNITS.scale.double())
    target = torch.from_numpy(value)
    if name in COUNTS:
        target = (target - units.location[:, None]) / units.scale[:, None]

    def likelihood(output: torch.Tensor) -> torch.Tensor:
        # `forward` is in float32; this is it without that.
        raw = output.unflatten(-1, (1, head.outputs))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch.Tensor, "float", lambda tensor: tensor)
            parameters = head(output, units)
        assert parameters.shape[:3] == raw.shape[:3]
        return head.log_likelihood(parameters, target).sum()

    output.requires_grad_()
    (gradient,) = torch.autograd.grad(likelihood(output), output)
    assert gradient.isfinite().all()
    with torch.no_grad():
        for place in [(0, 0, 0), (1, 2, head.outputs - 1), (2, 3, 0), (1, 0, head.outputs - 1)]:
            step = torch.zeros_like(output)
            step[place] = 1e-5
            slope = (likelihood(output + step) - likelihood(output - step)) / 2e-5
            assert float(gradient[place]) == pytest.approx(float(slope), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("level", [5e3, 1e6])
@pytest.mark.parametrize("name", COUNTS)
def test_likelihood_and_gradient_of_large_series(name: str, level: float) -> None:
    """In float32 the logarithms of factorials cancel: what is left is noise, and a shape is led by it."""
    head = make(name)
    draws = np.random.default_rng(0).poisson(level, size=(64, 1, 1)).astype(np.float32)
    units = Units("none", torch.full((64, 1), level), torch.full((64, 1), level**0.5))
    target = (torch.from_numpy(draws) - level) / level**0.5
    output = torch.tensor([0.5413, -3.0, -4.0][: head.outputs]).expand(64, 1, -1)  # softplus(0.5413) is 1
    parameters = head(output, units).detach()

    def passes(parameters: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        leaf = parameters.clone().requires_grad_()
        found = head.log_likelihood(leaf, target.to(leaf.dtype))
        return found.detach(), torch.autograd.grad(found.sum(), leaf)[0][..., :-2]

    found, gradient = passes(parameters)
    exact, expected = passes(parameters.double())
    assert (found.dtype, gradient.dtype, exact.dtype) == (torch.float32, torch.float32, torch.float64)
    torch.testing.assert_close(found.double(), exact, rtol=1e-6, atol=1e-6)
    # Of what is added up from rows that pull either way, as the sum is in a fit.
    torch.testing.assert_close(gradient.double().sum(0), expected.sum(0), rtol=1e-4, atol=0.0)


@pytest.mark.parametrize("name", COUNTS)
def test_a_count_s_mean_follows_the_size_of_the_series(name: str) -> None:
    """However windows are scaled: nu is |location| + scale."""
    head = make(name, point="mean")
    output = torch.zeros(3, 1, head.outputs)
    mean = UNITS.original(head.mean(head(output, UNITS)))[:, 0, 0]
    size = torch.tensor([5.0, 50.0, 6.0])
    torch.testing.assert_close(mean / mean[0], size / size[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", COUNTS)
def test_counts_are_of_original_units(name: str) -> None:
    with pytest.raises(
        InputError, match=f"fit.head={name} .*competition.target_transform 'log1p', expected none"
    ):
        choose_head(name, make_schema(target_transform="log1p"))

    def learn(*value: float) -> None:
        targets = TrainingTargets(("sales",), np.array(value)[:, None], lambda: np.zeros((0, 1)))
        choose_head(name, make_schema(), targets=targets)

    learn(0.0, 3.0, 7.0)
    with pytest.raises(InputError, match=rf"fit.head={name}: found -2 in target 'sales' .*expected"):
        learn(1.0, -2.0, 3.0)
    if name == "tweedie":
        learn(0.0, 0.5)
    else:
        with pytest.raises(
            InputError, match=r"found 0.5 in target 'sales'.*expected whole numbers from 0 on"
        ):
            learn(1.0, 0.5)


@pytest.mark.parametrize("power", [1.0, 2.0, 0.5])
def test_tweedie_s_power(power: float) -> None:
    with pytest.raises(InputError, match=r"fit.head_settings.power: found .* between 1 and 2"):
        choose_head("tweedie", make_schema(), {"power": power})


@pytest.mark.parametrize("power", [1.2, 1.5, 1.8])
def test_tweedie_s_density_sums_to_one(power: float) -> None:
    head = make("tweedie", power=power)
    units = Units("none", torch.tensor([[2.0]]), torch.tensor([[1.0]]))
    parameters = head(torch.tensor([[[0.3, -1.0]]]), units)
    value = torch.linspace(1e-4, 60.0, 60_001)
    scaled = (value - 2.0)[:, None]
    density = head.log_likelihood(parameters[0].expand(60_001, 1, 4), scaled).exp().double()[:, 0]
    zero = float(head.log_likelihood(parameters[0], torch.tensor([[-2.0]])).exp())
    whole = zero + float(torch.trapezoid(density, value.double()))
    mean = float(torch.trapezoid(density * value, value.double()))
    assert whole == pytest.approx(1.0, abs=3e-3)
    assert mean == pytest.approx(float(parameters[0, 0, 0, 0]), rel=3e-3)


@pytest.mark.parametrize("location", [3.0, 41.7, 1234.5])
@pytest.mark.parametrize("power", [1.2, 1.5, 1.8])
def test_a_zero_is_one_however_small_the_mean(power: float, location: float) -> None:
    """Scaling and back moves it by a share of the window's size, which may be far more than of the mean."""
    head = make("tweedie", power=power)
    units = Units("none", torch.full((500, 1), location), torch.linspace(0.1, 2.0, 500)[:, None] * location)
    output = torch.tensor([-4.0, -2.0]).expand(500, 1, 2).clone().requires_grad_()
    target = (0.0 - units.location / units.scale)[:, None]
    back = units.location[:, None] + units.scale[:, None] * target
    parameters = head(output, units)
    assert back.max() > 0.0
    assert (parameters[..., 0] < 0.06 * (units.location + units.scale)[:, None]).all()
    found = head.log_likelihood(parameters, target)
    mean, dispersion = parameters.detach()[..., :2].double().unbind(-1)
    rate = mean ** (2.0 - power) / (dispersion * (2.0 - power))
    torch.testing.assert_close(found.double(), -rate, rtol=1e-5, atol=0.0)
    (gradient,) = torch.autograd.grad(found.sum(), output)
    assert (gradient[..., 0] < 0).all(), "a larger mean makes a zero less likely"
    assert (gradient[..., 1] > 0).all(), "a larger dispersion makes it likelier"


@pytest.mark.parametrize("power", [1.02, 1.2, 1.5, 1.8, 1.95, 1.99, 1.999])
def test_tweedie_s_density_in_any_units(power: float) -> None:
    """At the least dispersion, in tails and peaks, of series of any size."""
    head = make("tweedie", power=power)
    size = torch.tensor([0.037, 1.0, 777.7, 1e6])
    units = Units("none", (0.3 * size)[:, None], (0.7 * size)[:, None])
    value = torch.tensor([0.01, 0.3, 1.0, 1.7, 4.0, 30.0]) * size[:, None]  # (4, 6)
    target = ((value - units.location) / units.scale)[..., None]
    for raw in (-20.0, 0.5, 3.0):
        parameters = head(torch.tensor([0.5413, raw]).expand(4, 6, 2), units)  # the mean is the size
        found = head.log_likelihood(parameters, target)
        for place in np.ndindex(4, 6):
            mean, dispersion, location, scale = parameters[place][0].double().tolist()
            expected = Tweedie(mean, dispersion, power).logpdf(location + scale * float(target[place]))
            # What float32 has left of a value far below its window's size hangs on how it is rounded.
            assert float(found[place]) == pytest.approx(expected, rel=1e-5, abs=2e-4), (place, raw)
