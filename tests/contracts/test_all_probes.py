"""What every registered probe keeps to, in every variant it names."""

from __future__ import annotations

import dataclasses
import inspect
import time
from typing import Any

import pytest
import torch
from torch import Tensor

from data.batch import SequenceBatch
from data.errors import InputError
from data.probes.base import PROBES, Probe, make_probe
from models.forecaster import make_forecaster
from tests.batches import with_garbage

WINDOWS = 2000
#: Seeds are fixed, so a probe that keeps to its chance line does so for good.
CONFIDENCE = 0.999
CASES = [
    pytest.param(kind(config), id=f"{name}-{index}")
    for name, kind in PROBES.items()
    for index, config in enumerate(kind.variants())
]
FIRST_CASES = [pytest.param(name, kind, id=name) for name, kind in PROBES.items()]


def same(one: SequenceBatch, other: SequenceBatch) -> bool:
    return all(a is b or torch.equal(a, b) for a, b in zip(one, other, strict=True))  # None is None


def judged(prediction: Tensor, batch: SequenceBatch) -> Tensor:
    return prediction[batch.weight > 0]


@pytest.mark.parametrize("probe", CASES)
class TestProbe:
    def test_batches_are_what_the_schema_says(self, probe: Probe) -> None:
        for length in probe.lengths[:2]:
            schema, rows = probe.schema(length), probe.rows(length)
            batch = probe.training_batch(length, 5, seed=0, step=0)
            assert (schema.context, schema.horizon, schema.targets) == (0, rows, 1)
            assert batch.real.shape == (5, rows, len(schema.real))
            assert batch.category.shape == (5, rows, len(schema.category))
            assert batch.target is not None
            assert batch.target.shape == (5, rows, 1)
            assert batch.target.isfinite().all()
            assert batch.real.isfinite().all()
            assert {field.dtype for field in (batch.real, batch.weight, batch.target)} == {torch.float32}
            assert (batch.origin == 0).all()
            assert torch.equal(batch.weight > 0, batch.asked)
            assert not (batch.asked & ~batch.used()).any()
            assert batch.asked.any(1).all()
            assert int(batch.length.max()) <= rows
            assert torch.equal(batch.row_id >= 0, batch.asked)
            assert len(batch.row_id[batch.asked].unique()) == int(batch.asked.sum())
            if schema.category:
                codes = batch.category[batch.used()]
                assert codes.min() >= 1, "every symbol is known"
                assert codes.max() < schema.category_size[0]
            if probe.classes is not None:
                answers = batch.target[batch.asked]
                assert torch.equal(answers, answers.round())
                assert answers.min() >= 0
                assert answers.max() < probe.classes
            target = batch.target.masked_fill(batch.asked[..., None], 0.0)
            assert not target.any(), "where nothing is judged there is no answer to be seen"

    def test_the_same_seed_and_step_give_the_same_windows(self, probe: Probe) -> None:
        length = probe.lengths[0]
        again = make_again(probe)
        for draw in (
            lambda one: one.training_batch(length, 6, seed=3, step=7),
            lambda one: one.validation_batch(length, 6, seed=3),
            lambda one: one.test_batch(length, 6, seed=3),
        ):
            assert same(draw(probe), draw(again))
        assert not same(probe.training_batch(length, 6, 3, 7), probe.training_batch(length, 6, 3, 8))
        assert not same(probe.training_batch(length, 6, 3, 7), probe.training_batch(length, 6, 4, 7))
        assert not same(probe.test_batch(length, 6, 3), probe.test_batch(length, 6, 4))

    def test_the_oracle_solves_it_from_the_inputs(self, probe: Probe) -> None:
        for length in probe.lengths:
            batch = probe.test_batch(length, 300, seed=0)
            prediction = probe.oracle(batch._replace(target=None))
            assert probe.solved(probe.measure(prediction, batch), length)

    def test_blind_scores_chance(self, probe: Probe) -> None:
        for length in probe.lengths[:2]:
            batch = probe.test_batch(length, WINDOWS, seed=0)
            prediction = probe.blind(batch._replace(target=None))
            measured, chance = probe.measure(prediction, batch), probe.chance(length)
            low, high = measured.error_interval(CONFIDENCE)
            assert low - 1e-6 <= chance.error <= high + 1e-6
            assert (measured.accuracy is None) == (chance.accuracy is None) == (probe.classes is None)
            if chance.accuracy is not None:
                low, high = measured.accuracy_interval(CONFIDENCE)
                assert low - 1e-6 <= chance.accuracy <= high + 1e-6
            assert not probe.solved(measured, length)

    def test_blind_sees_no_input(self, probe: Probe) -> None:
        batch = probe.test_batch(probe.lengths[0], 20, seed=0)
        other = probe.test_batch(probe.lengths[0], 20, seed=1)
        mixed = batch._replace(real=other.real, category=other.category)
        assert torch.equal(probe.blind(batch), probe.blind(mixed))

    def test_padding_and_unjudged_targets_are_not_measured(self, probe: Probe) -> None:
        batch = probe.test_batch(probe.lengths[0], 20, seed=0)
        prediction = torch.randn(*batch.weight.shape, probe.classes or 1)
        garbage = with_garbage(batch)
        assert garbage.target is not None
        if probe.classes is not None:  # a class number stays one
            target = garbage.target.abs().round() % probe.classes
            garbage = garbage._replace(target=torch.where(batch.asked[..., None], batch.target, target))
        assert probe.measure(prediction, batch) == probe.measure(prediction, garbage)

    def test_the_answer_hangs_on_the_far_half_of_the_window(self, probe: Probe) -> None:
        """The oracle, which is right, changes its mind about most windows given another's first half."""
        batch = probe.test_batch(probe.lengths[0], 200, seed=0)
        windows = len(batch.length)
        far = torch.arange(batch.rows) < batch.rows // 2
        mixed = batch._replace(
            real=torch.where(far[:, None], batch.real.roll(1, 0), batch.real),
            category=torch.where(far[:, None], batch.category.roll(1, 0), batch.category),
        )
        before, after = probe.oracle(batch), probe.oracle(mixed)
        moved = ((before - after).abs().amax(-1) > 1e-6) & (batch.weight > 0)
        late = moved[:, batch.rows // 2 :].any(1).double().mean()
        assert late > 0.25, f"in {late:.0%} of {windows} windows"

    def test_one_shape_of_predictions_only(self, probe: Probe) -> None:
        batch = probe.test_batch(probe.lengths[0], 4, seed=0)
        for shape in (batch.weight.shape, (len(batch.length), 1), (*batch.weight.shape, 77)):
            with pytest.raises(AssertionError, match="prediction"):
                probe.measure(torch.zeros(shape), batch)

    def test_trained_through_the_house_s_forecaster(self, probe: Probe) -> None:
        length = probe.lengths[0]
        head, settings, loss = probe.objective
        torch.manual_seed(0)
        forecaster = make_forecaster(
            "lstm", {"hidden": 8}, probe.schema(length), head=head, loss=loss, head_settings=settings
        )
        batch = probe.training_batch(length, 8, seed=0, step=0)
        parameters = forecaster(batch)
        error = forecaster.loss(parameters, batch)
        error.backward()
        assert all(parameter.grad is not None for parameter in forecaster.parameters())
        prediction = parameters[..., 0, : probe.classes or 1]
        measured = probe.measure(prediction, batch)
        assert measured.error == pytest.approx(float(error.detach()), rel=1e-4)

    def test_a_finite_training_set_is_gone_over_in_epochs(self, probe: Probe) -> None:
        config = dataclasses.replace(probe.config, training_size=10)
        length, finite = probe.lengths[0], type(probe)(config)
        whole = [window_of(finite.training_batch(length, 10, 0, step), index) for step, index in orders(2)]
        first, second = whole[:10], whole[10:]
        assert sorted(first) == sorted(second)
        assert first != second, "every epoch has an order of its own"
        # Batches that do not divide the set go on in the next epoch where the last one ended.
        steps = [
            window_of(finite.training_batch(length, 4, 0, step), i) for step in range(5) for i in range(4)
        ]
        assert steps == whole
        many = finite.training_batch(length, 25, 0, 0)
        assert [window_of(many, index) for index in range(20)] == whole
        assert same(finite.test_batch(length, 5, 0), probe.test_batch(length, 5, 0))

    def test_drawn_without_a_loop_over_windows(self, probe: Probe) -> None:
        length = probe.lengths[0]
        probe.training_batch(length, 8, 0, 0)  # what is read and tabulated once
        start = time.perf_counter()
        probe.training_batch(length, 4096, seed=0, step=1)
        assert time.perf_counter() - start < 2.0  # about 0.05 s


@pytest.mark.parametrize(("name", "kind"), FIRST_CASES)
class TestKind:
    def test_its_docstring_draws_an_example(self, name: str, kind: type[Probe]) -> None:
        """Drawn with the seed 0, to the digit."""
        probe = make_probe({"name": name, **kind.example_settings})
        batch = probe.draw(probe.example, 1, torch.Generator().manual_seed(0))
        shown = [line.split() for line in probe.show(batch).splitlines()]
        text = inspect.getdoc(kind) or ""
        drawn = [line.split() for line in text.splitlines() if line.startswith("    ")]
        assert [line[0] for line in drawn] == [line[0] for line in shown]
        assert drawn == shown

    def test_says_what_it_is_and_where_figures_are_from(self, name: str, kind: type[Probe]) -> None:
        assert kind.title
        assert kind.lengths == tuple(sorted(kind.lengths))
        text = " ".join((inspect.getdoc(kind) or "").split()).lower()
        assert kind.published or "no published figure" in text, "its published setting, or why there is none"
        for figure in kind.published:
            assert figure.source
            assert figure.value > 0
            if figure.metric == "accuracy":
                assert figure.value <= 1
        assert kind(kind.Config()).published_here == kind.published
        for config in kind.variants():
            if config != kind.Config():
                assert kind(config).published_here == (), "figures are of the default task"

    def test_bad_settings_and_lengths_get_one_line(self, name: str, kind: type[Probe]) -> None:
        with pytest.raises(InputError, match=rf"probe.names.{name}: unknown setting 'trainingsize'"):
            make_probe({"name": name, "trainingsize": 3})
        with pytest.raises(InputError, match=rf"probe.names.{name}.training_size: found 0"):
            make_probe({"name": name, "training_size": 0})
        with pytest.raises(InputError, match=r"probe\.lengths: found 0, expected"):
            make_probe(name).schema(0)
        with pytest.raises(InputError, match=r"probe\.lengths: found 1, expected"):
            make_probe(name).training_batch(1, 2, 0, 0)


def test_the_suite_is_complete() -> None:
    suite = """adding agreement characters copy first_plus_last first_token permuted_pixels seasonal_lag
    selective_copy sequential_pixels temporal_order"""
    assert set(suite.split()) <= set(PROBES.names())


def make_again(probe: Probe) -> Probe:
    return type(probe)(probe.config)


def orders(epochs: int) -> list[tuple[int, int]]:
    return [(step, index) for step in range(epochs) for index in range(10)]


def window_of(batch: SequenceBatch, index: int) -> tuple[Any, ...]:
    """A window's inputs and answers as something that can be compared and sorted."""
    assert batch.target is not None
    parts = (batch.real[index], batch.category[index], batch.target[index])
    return tuple(number for part in parts for number in part.flatten().tolist())
