"""pytorch-forecasting in both directions: its models as members, our networks as models of it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pandas as pd
import pytest
import torch
from pytorch_forecasting import TimeSeriesDataSet
from pytorch_forecasting.data import EncoderNormalizer, MultiNormalizer
from pytorch_forecasting.metrics import MAE, MultiLoss, QuantileLoss
from pytorch_forecasting.models.base_model import BaseModel

from data.errors import InputError
from data.inputs import build_inputs
from data.windows import WindowDataset
from models.members.base import FitTask
from models.members.catalogue import make_member
from models.members.pytorch_forecasting import as_dataset, window_frame
from models.members.training import training_sampler
from models.network import NETWORKS
from models.pytorch_forecasting_model import NetworkModel
from tests.batches import perturb
from tests.members import fit_task, make_toy, same, small_settings

pytestmark = [
    pytest.mark.filterwarnings("ignore:Attribute '(loss|logging_metrics)' is an instance"),
    pytest.mark.filterwarnings("ignore:X does not have valid feature names"),
]
HISTORY, HORIZON = 8, 3


def test_their_samples_are_our_windows(tmp_path: Path) -> None:
    toy = make_toy("horizon")
    task = fit_task(toy, tmp_path)
    schema = task.inputs.schema
    asked = toy.fold.asked
    batch = WindowDataset(task.inputs)[np.stack([asked.series, asked.row], axis=1)]
    assert len(set(batch.origin.tolist())) > 1, "histories differ in length"
    for target in range(schema.targets):
        dataset = as_dataset(window_frame(task.inputs, batch, target), schema.context, schema.horizon)
        [(x, (truth, weight))] = list(dataset.to_dataloader(train=False, batch_size=99, num_workers=0))
        past = batch.real[:, :, schema.reals("past_target")[target]]
        column = dataset.reals.index("y")
        varying = [place for place, name in enumerate(dataset.reals) if not name.startswith("static")]
        assert batch.target is not None
        for window in range(len(asked.row)):
            origin, length = int(batch.origin[window]), int(batch.length[window])
            torch.testing.assert_close(x["encoder_cont"][window, -origin:, column], past[window, :origin])
            assert not x["encoder_cont"][window, :-origin, varying].any()
            ahead = slice(origin, length)
            torch.testing.assert_close(truth[window, : length - origin], batch.target[window, ahead, target])
            torch.testing.assert_close(weight[window, : length - origin], batch.weight[window, ahead])
            assert not weight[window, length - origin :].any()
        known = schema.reals("known")[0]
        place = dataset.reals.index(f"real{known}")
        torch.testing.assert_close(
            x["decoder_cont"][0, :, place],
            batch.real[0, batch.origin[0] : batch.origin[0] + schema.horizon, known],
        )


def test_their_quantiles_come_out_in_order(tmp_path: Path) -> None:
    toy = make_toy("horizon")
    inputs = build_inputs(toy.competition, toy.panel, [], toy.fold, 9, toy.horizon, (0.1, 0.9))
    task = fit_task(toy, tmp_path, inputs=inputs)
    member = make_member("nhits", small_settings("nhits"))
    member.fit(task)
    found = member.predict(task, toy.fold.asked, "oof")
    levels = found.pivot(index=["row_id", "origin", "target"], columns="quantile", values="value")
    assert sorted(levels.columns) == pytest.approx([0.0, 0.1, 0.9])
    low, high = levels.iloc[:, 1], levels.iloc[:, 2]
    assert (low <= high).all()
    assert (low < high).any()


@pytest.mark.parametrize("name", ["tft", "nhits"])
def test_each_epoch_draws_windows_of_its_own(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Lightning hands to their training steps is what the sampler draws in that epoch; twice alike."""
    toy = make_toy("horizon")
    seen: list[tuple[int, torch.Tensor]] = []  # of each step: epoch, (B, horizon) to be learnt
    step = BaseModel.training_step

    def noted(self: BaseModel, batch: Any, batch_idx: int) -> Any:
        seen.append((self.current_epoch, batch[1][0].clone()))
        return step(self, batch, batch_idx)

    monkeypatch.setattr(BaseModel, "training_step", noted)
    found = []
    for folder in ("first", "second"):
        member, task = make_member(name, small_settings(name)), fit_task(toy, tmp_path / folder)
        member.fit(task)
        found.append(member.predict(task, toy.fold.asked, "oof"))
    drawn = [
        (epoch, batch)
        for target in range(task.inputs.schema.targets)
        for epoch in range(task.fit.max_epochs)
        for batch in windows_to_learn(task, target, epoch)
    ]
    assert [epoch for epoch, _ in seen] == [epoch for epoch, _ in [*drawn, *drawn]]
    for (_, shown), (_, expected) in zip(seen, [*drawn, *drawn], strict=True):
        torch.testing.assert_close(shown, expected, rtol=0, atol=0)
    assert not torch.equal(drawn[0][1], windows_to_learn(task, 0, 1)[0])
    same(*found)


def windows_to_learn(task: FitTask, target: int, epoch: int) -> list[torch.Tensor]:
    """(B, horizon) a batch, scaled, of the windows that members trained by Lightning learn in an epoch."""
    sampler = training_sampler(task, task.fold.train_end)
    sampler.set_epoch(epoch)
    windows = WindowDataset(task.inputs, task.windows.scaling).until(task.fold.train_end)
    schema = task.inputs.schema
    found = []
    for pairs in sampler:
        dataset = as_dataset(
            window_frame(task.inputs, windows[pairs], target), schema.context, schema.horizon
        )
        [(_, (truth, _))] = list(dataset.to_dataloader(train=False, batch_size=len(pairs), num_workers=0))
        found.append(truth)
    return found


def table(series: int = 12, rows: int = 40) -> pd.DataFrame:
    """Series of which the next values follow from the known column and the group."""
    generator = np.random.default_rng(0)
    price = generator.normal(size=series * rows)
    group = np.repeat(np.arange(series) % 3, rows)
    return pd.DataFrame(
        {
            "series": np.repeat([f"s{number:02d}" for number in range(series)], rows),
            "row": np.tile(np.arange(rows), series),
            "group": group.astype(str),
            "weekday": (np.tile(np.arange(rows), series) % 7).astype(str),
            "price": price,
            "visitors": generator.normal(size=series * rows),
            "y": 10.0 + 3.0 * price + 5.0 * group,
            "z": 100.0 - 20.0 * price,
        }
    )


def dataset_of(frame: pd.DataFrame, target: str | list[str] = "y", **settings: Any) -> TimeSeriesDataSet:
    targets = [target] if isinstance(target, str) else target
    normalizer: Any = (
        EncoderNormalizer() if isinstance(target, str) else MultiNormalizer([EncoderNormalizer()] * 2)
    )
    return TimeSeriesDataSet(
        frame,
        time_idx="row",
        target=target,
        group_ids=["series"],
        min_encoder_length=3,
        max_encoder_length=HISTORY,
        min_prediction_length=1,
        max_prediction_length=HORIZON,
        static_categoricals=["group"],
        time_varying_known_categoricals=["weekday"],
        time_varying_known_reals=["price"],
        time_varying_unknown_reals=[*targets, "visitors"],
        target_normalizer=normalizer,
        add_relative_time_idx=True,
        add_target_scales=True,
        **settings,
    )


def first_batch(dataset: TimeSeriesDataSet) -> dict[str, Any]:
    return next(iter(dataset.to_dataloader(train=False, batch_size=64, num_workers=0)))[0]


@pytest.mark.parametrize("name", [name for name, kind in NETWORKS.items() if "horizon" in kind.tasks])
def test_every_network_from_a_dataset(name: str) -> None:
    """Shapes; a future that is not known ahead changes nothing; the padding of short histories neither."""
    torch.manual_seed(0)
    dataset = dataset_of(table())
    settings = asdict(NETWORKS.get(name).small())
    model = NetworkModel.from_dataset(dataset, network=name, settings=settings, seasonality=(7,)).eval()
    perturb(model)  # so that nothing that starts at zero hides a fault
    x = first_batch(dataset)
    assert x["encoder_lengths"].min() < x["encoder_lengths"].max()
    with torch.no_grad():
        prediction = model(x)["prediction"]
        assert prediction.shape == (len(x["groups"]), HORIZON, 1)
        assert prediction.isfinite().all()
        reals = dataset.reals
        garbled = {key: value.clone() if torch.is_tensor(value) else value for key, value in x.items()}
        for column in ("y", "visitors"):
            garbled["decoder_cont"][:, :, reals.index(column)] = 1e3
        for window, length in enumerate(x["encoder_lengths"].tolist()):
            garbled["encoder_cont"][window, length:] = 1e3
        torch.testing.assert_close(model(garbled)["prediction"], prediction)
        garbled["decoder_cont"][:, :, reals.index("price")] += 1.0
        assert not torch.allclose(model(garbled)["prediction"], prediction)


def test_trained_by_lightning_with_their_loss_stored_and_loaded(tmp_path: Path) -> None:
    lightning.seed_everything(0, verbose=False)
    dataset = dataset_of(table())
    model = NetworkModel.from_dataset(
        dataset,
        network="lstm",
        settings={"hidden": 16},
        loss=QuantileLoss([0.1, 0.5, 0.9]),
        learning_rate=0.02,
    )
    loader = dataset.to_dataloader(train=True, batch_size=64, num_workers=0)
    trainer = lightning.Trainer(
        max_epochs=6,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        gradient_clip_val=1.0,
    )

    def error(model: NetworkModel) -> float:
        x = first_batch(dataset)
        with torch.no_grad():
            median = model.eval()(x)["prediction"][:, :, 1]
        rows = torch.arange(HORIZON) < x["decoder_lengths"][:, None]
        return float((median - x["decoder_target"])[rows].abs().mean())

    before = error(model)
    trainer.fit(model.train(), loader)
    assert error(model) < 0.35 * before
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    again = NetworkModel.load_from_checkpoint(tmp_path / "model.ckpt", weights_only=False)
    x = first_batch(dataset)
    torch.testing.assert_close(again.eval()(x)["prediction"], model(x)["prediction"])


def test_a_series_that_training_has_not_seen_has_no_parameters_of_its_own() -> None:
    training = dataset_of(table(6))
    settings = asdict(NETWORKS.get("es_rnn").small())
    model = NetworkModel.from_dataset(training, "es_rnn", settings, seasonality=(7,)).eval()
    perturb(model)
    frame = table(6)
    new = frame.assign(series=frame["series"].str.replace("s", "t"))
    both = TimeSeriesDataSet.from_dataset(training, pd.concat([frame, new], ignore_index=True), predict=True)
    x = first_batch(both)
    assert model.sequence_batch(x).series.tolist() == [0, 1, 2, 3, 4, 5, *[-1] * 6]
    prediction = model(x)["prediction"]
    assert prediction.isfinite().all()
    assert not torch.allclose(prediction[:6], prediction[6:]), "the same values, with rates of their own"


def test_two_targets() -> None:
    dataset = dataset_of(table(), ["y", "z"])
    model = NetworkModel.from_dataset(dataset, network="gru", loss=MultiLoss([MAE(), MAE()]))
    first, second = model(first_batch(dataset))["prediction"]
    assert first.shape == second.shape
    assert first.median() < 40 < second.median(), "each in its own units"


def test_what_cannot_be_is_said_in_one_line() -> None:
    dataset = dataset_of(table())
    with pytest.raises(InputError, match=r"unknown network 'lstmm'; did you mean 'lstm'"):
        NetworkModel.from_dataset(dataset, network="lstmm")
    with pytest.raises(InputError, match=r"network.lstm: unknown setting 'hiden'; did you mean 'hidden'"):
        NetworkModel.from_dataset(dataset, network="lstm", settings={"hiden": 3})
