"""Losses against the metrics they stand for, in original units, with weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_pinball_loss
from torch import Tensor
from torchmetrics.functional import (
    mean_absolute_percentage_error,
    mean_squared_log_error,
    symmetric_mean_absolute_percentage_error,
)

from data.batch import SequenceBatch
from data.errors import InputError
from data.metrics.base import LOSS_HINTS
from data.scaling import TRANSFORMS, forward_transform, inverse_transform
from data.schema import InputSchema
from models.heads import HEADS, Head, choose_head
from models.losses import LOSSES, Loss, Units, choose_loss
from tests.batches import make_batch, make_schema

LEVELS = (0.1, 0.5, 0.9)


def head_for(name: str, schema: InputSchema) -> Head:
    """A head that the loss fits."""
    called = next((called for called, kind in HEADS.items() if kind.loss == name), "point")
    return choose_head(called, schema)


def make_loss(name: str, schema: InputSchema) -> Loss:
    return LOSSES.get(name).of(head_for(name, schema))


def case(name: str, transform: str, seed: int = 0) -> tuple[InputSchema, SequenceBatch, Tensor]:
    """Positive targets in original units, scaled as windows scale them, and parameters near them."""
    quantile = LEVELS if name == "pinball" else ()
    schema = make_schema(targets=2, target_transform=transform, quantile=quantile)
    batch = make_batch(schema, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    truth = 1.0 + 5.0 * torch.rand(4, schema.length, 2, generator=generator)
    scaled = (forward_transform(transform, truth) - batch.location[:, None]) / batch.scale[:, None]
    outputs = head_for(name, schema).outputs
    parameters = scaled[..., None] + 0.1 * torch.randn(4, schema.length, 2, outputs, generator=generator)
    return schema, batch._replace(target=scaled), parameters


@pytest.mark.parametrize("name", [name for name, kind in LOSSES.items() if kind.points or name == "pinball"])
@pytest.mark.parametrize("transform", sorted(TRANSFORMS))
def test_every_loss(name: str, transform: str) -> None:
    schema, batch, parameters = case(name, transform)
    parameters.requires_grad_()
    loss = make_loss(name, schema)
    value = loss(parameters, batch)
    assert value.shape == ()
    assert value > 0
    value.backward()
    assert parameters.grad is not None
    assert parameters.grad.isfinite().all()
    weighted = batch.weight > 0
    assert (parameters.grad[weighted].abs().amax((1, 2)) > 0).all()
    assert (parameters.grad[~weighted] == 0).all()
    # Rows without weight may hold anything.
    assert batch.target is not None
    wild = torch.where(weighted[:, :, None], batch.target, float("nan"))
    torch.testing.assert_close(loss(parameters, batch._replace(target=wild)), value)
    torch.testing.assert_close(loss(parameters, batch._replace(weight=3.0 * batch.weight)), value)
    assert loss(parameters, batch._replace(weight=torch.zeros_like(batch.weight))) == 0.0
    if LOSSES.get(name).points:
        assert loss(batch.target[..., None], batch) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("transform", sorted(TRANSFORMS))
@pytest.mark.parametrize("name", ["mape", "rmspe", "smape", "rmsle"])
def test_losses_in_original_units_equal_the_metric(name: str, transform: str) -> None:
    schema, batch, parameters = case(name, transform)
    weight = batch.asked.float()
    batch = batch._replace(weight=weight)
    units = Units.of(batch, schema)
    assert batch.target is not None
    truth = units.original(batch.target)[batch.asked].reshape(-1)
    forecast = units.original(parameters)[batch.asked].reshape(-1)
    expected: dict[str, Any] = {
        "mape": mean_absolute_percentage_error(forecast, truth),
        "smape": symmetric_mean_absolute_percentage_error(forecast, truth),
        "rmsle": mean_squared_log_error(forecast.clamp(min=0.0), truth),
        "rmspe": ((forecast - truth) / truth).square().mean(),
    }
    torch.testing.assert_close(
        make_loss(name, schema)(parameters, batch), expected[name], rtol=1e-3, atol=1e-6
    )


@pytest.mark.parametrize("name", ["l1", "l2", "huber"])
def test_losses_of_scaled_values_with_weights(name: str) -> None:
    schema, batch, parameters = case(name, "log1p")
    assert batch.target is not None
    error = (parameters[..., 0] - batch.target).numpy()
    each = {"l1": np.abs(error), "l2": error**2, "huber": np.minimum(0.5 * error**2, np.abs(error) - 0.5)}
    if name == "huber":
        each["huber"] = np.where(np.abs(error) < 1, 0.5 * error**2, np.abs(error) - 0.5)
    expected = np.average(each[name].mean(-1), weights=batch.weight.numpy())
    assert float(make_loss(name, schema)(parameters, batch)) == pytest.approx(expected, rel=1e-5)


def test_pinball_is_scikit_learn_s() -> None:
    schema, batch, parameters = case("pinball", "none")
    assert batch.target is not None
    rows = batch.asked.numpy()
    truth, forecast = batch.target.numpy()[rows], parameters.numpy()[rows]
    weight = batch.weight.numpy()[rows]
    expected = [
        mean_pinball_loss(truth[:, target], forecast[:, target, index], sample_weight=weight, alpha=level)
        for index, level in enumerate(LEVELS)
        for target in range(2)
    ]
    loss = float(make_loss("pinball", schema)(parameters, batch))
    assert loss == pytest.approx(np.mean(expected), rel=1e-5)


@pytest.mark.parametrize("transform", ["none", "log1p", "sqrt"])
@pytest.mark.parametrize("name", ["mape", "rmspe"])
def test_a_truth_of_zero_counts_as_zero(name: str, transform: str) -> None:
    """Also where it is not exactly 0 after it was scaled and back."""
    schema = make_schema(target_transform=transform)
    batch = make_batch(schema)
    location, scale = torch.full((4, 1), 8.1), torch.full((4, 1), 0.37)
    scaled = (forward_transform(transform, torch.zeros(4, schema.length, 1)) - 8.1) / 0.37
    batch = batch._replace(location=location, scale=scale, target=scaled)
    parameters = torch.randn(4, schema.length, 1, 1, requires_grad=True)
    loss = make_loss(name, schema)(parameters, batch)
    loss.backward()
    assert loss == 0.0
    assert parameters.grad is not None
    assert parameters.grad.isfinite().all()


@pytest.mark.parametrize("transform", sorted(TRANSFORMS))
def test_units_invert_scaling_and_transform(transform: str) -> None:
    schema, batch, _ = case("l1", transform)
    assert batch.target is not None
    expected = inverse_transform(transform, batch.location[:, None] + batch.scale[:, None] * batch.target)
    units = Units.of(batch, schema)
    torch.testing.assert_close(units.original(batch.target), expected)
    torch.testing.assert_close(
        units.original(batch.target[..., None].expand(-1, -1, -1, 3))[..., 2], expected
    )


def test_every_hint_of_a_metric_is_a_loss() -> None:
    assert set(LOSS_HINTS) <= set(LOSSES.names())


def test_choice_of_loss() -> None:
    point = choose_head("point", make_schema())
    quantile = choose_head("quantile", make_schema(quantile=LEVELS))
    names = {kind: name for name, kind in LOSSES.items()}
    assert names[type(choose_loss("auto", point, "rmspe"))] == "rmspe"
    assert names[type(choose_loss("auto", point, "pinball"))] == "l1"
    assert names[type(choose_loss("auto", quantile, "rmspe"))] == "pinball"
    with pytest.raises(
        InputError, match=r"fit.loss=pinball fits the heads quantile \(fit.head\), not 'point'"
    ):
        choose_loss("pinball", point)
    with pytest.raises(
        InputError, match=r"fit.loss=l1 does not fit the head 'quantile', whose loss is 'pinball'"
    ):
        choose_loss("l1", quantile)
    with pytest.raises(InputError, match=r"fit.loss: unknown loss 'hubert'; did you mean 'huber'"):
        choose_loss("hubert", point)


@pytest.mark.parametrize("name", ["gaussian", "negative_binomial"])
def test_likelihood_with_weights(name: str) -> None:
    schema = make_schema(targets=2)
    batch = make_batch(schema)
    head = choose_head(name, schema)
    parameters = head(torch.randn(4, schema.length, 2 * head.outputs), Units.of(batch, schema))
    assert batch.target is not None
    each = head.log_likelihood(parameters, batch.target).mean(-1)  # type: ignore[operator]
    expected = -np.average(each.numpy(), weights=batch.weight.numpy())
    assert float(choose_loss("auto", head)(parameters, batch)) == pytest.approx(expected, rel=1e-5)


def test_cross_entropy_of_smoothed_labels() -> None:
    schema = make_schema(targets=2)
    batch = make_batch(schema)
    head = choose_head("bins", schema, {"start": -3.0, "step": 0.5, "count": 13, "smoothing": 1.5})
    output = torch.randn(4, schema.length, 2 * 13, requires_grad=True)
    loss = choose_loss("auto", head)(head(output, Units.of(batch, schema)), batch)
    assert batch.target is not None
    value = (batch.location[:, None] + batch.scale[:, None] * batch.target).double().numpy()
    place = ((value + 3.0) / 0.5).clip(0, 12)
    label = np.exp(-0.5 * ((np.arange(13) - place[..., None]) / 1.5) ** 2)
    label /= label.sum(-1, keepdims=True)
    logit = output.detach().double().numpy().reshape(4, schema.length, 2, 13)
    share = np.exp(logit) / np.exp(logit).sum(-1, keepdims=True)
    weight = batch.weight.numpy() / batch.weight.sum().item()
    expected = np.sum(weight * -np.sum(label * np.log(share), -1).mean(-1))
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-4)
    loss.backward()
    assert output.grad is not None
    gradient = (share - label) / 2 * weight[:, :, None, None]  # of the softmax, mean over two targets
    np.testing.assert_allclose(output.grad.numpy(), gradient.reshape(output.shape), rtol=1e-3, atol=1e-6)


def test_a_loss_of_one_kind_of_head() -> None:
    schema = make_schema()
    with pytest.raises(InputError, match=r"fit.loss=nll fits the heads gaussian, .*, not 'point'"):
        choose_loss("nll", choose_head("point", schema))
    with pytest.raises(InputError, match=r"fit.loss=nll does not fit the head 'bins', whose loss is 'cross_"):
        choose_loss("nll", choose_head("bins", schema, {"start": 0.0, "step": 1.0}))
