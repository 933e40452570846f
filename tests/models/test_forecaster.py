"""The LightningModule: fits, diverges loudly, averages weights, resumes, and is stored without pickle."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from data.batch import SequenceBatch
from data.errors import InputError
from data.schema import InputSchema
from models.auxiliary import difference_loss
from models.epoch_loss import EpochLoss
from models.forecaster import Forecaster, TrainingDiverged, early_stopping, make_forecaster
from models.heads import HEADS
from models.optimisation import OPTIMIZERS, SCHEDULES, learning_rate_factor
from models.settings import Fit
from tests.batches import make_batch, make_schema
from tests.heads import SETTINGS

pytestmark = pytest.mark.filterwarnings("ignore")
SMALL = {"hidden": 6, "layers": 1, "static_width": 6}
LEVELS = (0.1, 0.5, 0.9)


class Batches(Dataset[SequenceBatch]):
    """The same few batches in every epoch; the target is a simple function of the inputs."""

    def __init__(self, schema: InputSchema, count: int = 4) -> None:
        self.batches = []
        for seed in range(count):
            batch = make_batch(schema, windows=8, seed=seed)
            target = (batch.real[:, :, :1] + batch.static_real[:, None, :1]).expand(-1, -1, schema.targets)
            self.batches.append(batch._replace(target=target))

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> SequenceBatch:
        return self.batches[index]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    yield
    logger.setLevel(level)


def trainer(fit: Fit, folder: Path, **settings: Any) -> lightning.Trainer:
    quiet = {
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "deterministic": True,
        "default_root_dir": folder,
    }
    return lightning.Trainer(**{**quiet, "max_epochs": fit.max_epochs, **settings})  # type: ignore[arg-type]


def fitted(fit: Fit, folder: Path, schema: InputSchema | None = None, **settings: Any) -> Forecaster:
    schema = schema or make_schema()
    torch.manual_seed(0)
    forecaster = make_forecaster("bilstm", SMALL, schema, fit, loss="auto", hint="l2")
    loader = DataLoader(Batches(schema), batch_size=None)
    trainer(fit, folder, **settings).fit(forecaster, loader)
    return forecaster.eval()


def loss_of(forecaster: Forecaster) -> float:
    with torch.no_grad():
        batches = Batches(forecaster.network.schema).batches
        return sum(float(forecaster.loss(forecaster(batch), batch)) for batch in batches) / len(batches)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("quantile", [(), LEVELS])
def test_fits(schedule: str, quantile: tuple[float, ...], tmp_path: Path) -> None:
    schema = make_schema(quantile=quantile)
    fit = Fit(max_epochs=25, learning_rate=2e-2, schedule=schedule)
    torch.manual_seed(0)
    before = loss_of(make_forecaster("bilstm", SMALL, schema, fit, hint="l2").eval())
    assert loss_of(fitted(fit, tmp_path, schema)) < 0.5 * before


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_every_optimiser_runs_under_lightning(optimizer: str, precision: str, tmp_path: Path) -> None:
    fit = Fit(max_epochs=4, optimizer=optimizer)
    torch.manual_seed(0)
    before = loss_of(make_forecaster("bilstm", SMALL, make_schema(), fit, hint="l2").eval())
    forecaster = fitted(fit, tmp_path, precision=precision)
    assert loss_of(forecaster) < before
    assert all(parameter.dtype == torch.float32 for parameter in forecaster.parameters())


def test_same_seed_same_weights(tmp_path: Path) -> None:
    first, second = (fitted(Fit(max_epochs=2), tmp_path).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


class KeepEveryEpoch(Checkpoint):
    """Saves by hand at the end of each epoch, after whatever else happens there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rate: list[float] = []

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        trainer.save_checkpoint(self.folder / f"{trainer.current_epoch}.ckpt")
        self.rate.append(trainer.optimizers[0].param_groups[0]["lr"])


@pytest.mark.parametrize("averaging", ["none", "ema", "swa"])
@pytest.mark.parametrize("schedule", ["one_cycle", "plateau"])
@pytest.mark.parametrize("inner", [False, True])
def test_resumed_run_is_the_same_run(averaging: str, schedule: str, inner: bool, tmp_path: Path) -> None:
    fit = Fit(  # of 32 steps 6 are a warm-up, which ends within the second epoch
        max_epochs=8, averaging=averaging, schedule=schedule, warmup=0.2, patience=0, learning_rate=0.3
    )
    schema = make_schema()
    loaders = [DataLoader(Batches(schema), batch_size=None)] * (1 + inner)

    def run(seed: int, checkpoint: Path | None = None) -> tuple[Forecaster, KeepEveryEpoch]:
        torch.manual_seed(seed)
        forecaster = make_forecaster("bilstm", SMALL, schema, fit, hint="l2")
        keep = KeepEveryEpoch(tmp_path)
        settings = {"enable_checkpointing": True, "callbacks": [keep], "num_sanity_val_steps": 0}
        trainer(fit, tmp_path, **settings).fit(forecaster, *loaders, ckpt_path=checkpoint)
        return forecaster, keep

    whole, kept = run(0)
    if schedule == "plateau":
        assert kept.rate[-1] < max(kept.rate), "the schedule must act for the test to mean something"
    for epoch in range(fit.max_epochs - 1):
        aside = tmp_path / "from.ckpt"
        shutil.copy(tmp_path / f"{epoch}.ckpt", aside)
        resumed, again = run(123, aside)
        assert again.rate == kept.rate[epoch + 1 :]
        for name, value in whole.state_dict().items():
            assert torch.equal(value, resumed.state_dict()[name]), f"{name} after epoch {epoch}"


def test_ema_is_the_decayed_mean_of_the_weights(tmp_path: Path) -> None:
    class Recorder(lightning.Callback):
        def __init__(self) -> None:
            self.seen: list[Tensor] = []

        def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
            if trainer.global_step:
                self.seen.append(pl_module.network.embedding.project.weight.detach().clone())

        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            self.seen.append(pl_module.network.embedding.project.weight.detach().clone())

    recorder = Recorder()
    fit = Fit(max_epochs=1, averaging="ema", averaging_decay=0.7)
    forecaster = fitted(fit, tmp_path, callbacks=[recorder])
    mean = recorder.seen[0]
    for weight in recorder.seen[1:]:
        mean = 0.7 * mean + 0.3 * weight
    torch.testing.assert_close(forecaster.network.embedding.project.weight.detach(), mean)  # type: ignore[union-attr]


def test_swa_is_the_mean_of_the_last_quarter(tmp_path: Path) -> None:
    class Recorder(lightning.Callback):
        def __init__(self) -> None:
            self.seen: list[Tensor] = []

        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            self.seen.append(pl_module.network.embedding.project.weight.detach().clone())

    recorder = Recorder()
    forecaster = fitted(Fit(max_epochs=8, averaging="swa"), tmp_path, callbacks=[recorder])
    expected = torch.stack(recorder.seen[6:]).mean(0)
    torch.testing.assert_close(forecaster.network.embedding.project.weight.detach(), expected)  # type: ignore[union-attr]


def test_stopping_before_the_first_average_keeps_the_weights(tmp_path: Path) -> None:
    fit = Fit(max_epochs=100, averaging="swa", learning_rate=1e-2, schedule="constant")
    plain = Fit(max_epochs=100, learning_rate=1e-2, schedule="constant")
    # max_steps ends the run in epoch 2, long before epoch 75.
    averaged = fitted(fit, tmp_path, max_steps=10).state_dict()
    expected = fitted(plain, tmp_path, max_steps=10).state_dict()
    assert all(torch.equal(averaged[name], expected[name]) for name in expected)


def test_early_stopping_looks_at_the_inner_slice(tmp_path: Path) -> None:
    schema = make_schema()
    fit = Fit(max_epochs=50, learning_rate=0.0, averaging="ema")
    forecaster = make_forecaster("lstm", SMALL, schema, fit)
    loader = DataLoader(Batches(schema), batch_size=None)
    run = trainer(fit, tmp_path, callbacks=[early_stopping(patience=2)])
    run.fit(forecaster, loader, loader)
    assert run.current_epoch == 3


class Rates(lightning.Callback):
    """Notes the learning rate of each step."""

    def __init__(self) -> None:
        self.steps: list[float] = []

    def on_train_batch_start(self, trainer: Any, *rest: Any) -> None:
        self.steps.append(trainer.optimizers[0].param_groups[0]["lr"])


def plateau(fit: Fit, folder: Path) -> list[float]:
    """The rate of each step of a fit whose loss is 0 whatever it learns, and never falls."""
    schema = make_schema()
    batches = Batches(schema)
    batches.batches = [one._replace(weight=torch.zeros_like(one.weight)) for one in batches.batches]
    loader, rates = DataLoader(batches, batch_size=None), Rates()
    callbacks = [rates, *([early_stopping(fit.patience)] if fit.early_stopping else [])]
    run = trainer(fit, folder, callbacks=callbacks, num_sanity_val_steps=0)
    run.fit(make_forecaster("lstm", SMALL, schema, fit), loader, loader)
    return rates.steps


@pytest.mark.parametrize(
    ("patience", "expected"),
    [(5, [1, 1, 1, 0.6, 0.6, 0.36]), (4, [1, 1, 1, 0.6, 0.6]), (2, [1, 1, 0.6]), (1, [1, 1])],
)
def test_plateau_lowers_the_rate_before_early_stopping_ends(
    patience: int, expected: list[float], tmp_path: Path
) -> None:
    fit = Fit(max_epochs=50, schedule="plateau", warmup=0.0, learning_rate=1.0, patience=patience)
    early = plateau(replace(fit, early_stopping=True), tmp_path)
    assert early[:: len(Batches(make_schema()))] == pytest.approx(expected)
    alone = plateau(replace(fit, max_epochs=len(expected)), tmp_path)
    assert alone == early, "a refit comes by the rates of the folds' fits"


def test_plateau_is_warmed_up(tmp_path: Path) -> None:
    """Over its share of the steps, as the other schedules; falls in between are not taken back."""
    fit = Fit(max_epochs=5, schedule="plateau", warmup=0.5, learning_rate=0.2, patience=50)
    steps = plateau(fit, tmp_path)
    expected = [0.2 * learning_rate_factor("constant", step, 20, 0.5) for step in range(20)]
    assert (expected[0], expected[9]) == (pytest.approx(0.02), 0.2)
    assert steps == pytest.approx(expected)
    fallen = plateau(replace(fit, patience=2), tmp_path)
    falls = [0.6 ** max(0, step // 4 - 1) for step in range(20)]
    assert fallen == pytest.approx([one * fall for one, fall in zip(expected, falls, strict=True)])


def test_losses_of_an_epoch_are_those_of_all_its_rows(tmp_path: Path) -> None:
    """However the rows are dealt into batches: a lone last window, and many rows that are not judged."""
    schema = make_schema()
    fit = Fit(max_epochs=1, learning_rate=0.0)
    torch.manual_seed(0)
    forecaster = make_forecaster("lstm", {**SMALL, "dropout": 0.0}, schema, fit, hint="l2")
    whole = make_batch(schema, windows=10)
    whole.weight[:6] *= 0.25
    whole.weight[9] = 0.0
    cuts = [whole.cut(*ends) for ends in ((0, 8), (8, 9), (9, 10))]
    run = trainer(fit, tmp_path)
    run.fit(forecaster, *[DataLoader(cuts, batch_size=None)] * 2)  # type: ignore[arg-type]
    with torch.no_grad():
        expected = float(forecaster.loss(forecaster(whole), whole))
        each = [float(forecaster.loss(forecaster(cut), cut)) for cut in cuts]
    assert abs(sum(each) / 3 - expected) > 0.05 * expected, (
        "batches must differ for the test to mean something"
    )
    for name in ("inner_loss", "train_loss"):
        assert float(run.callback_metrics[name]) == pytest.approx(expected, rel=1e-5), name


def test_rows_without_weight_have_no_loss() -> None:
    loss = EpochLoss()
    loss.add(torch.tensor(0.0), torch.zeros(3, 5))
    assert float(loss.taken()) == 0.0
    loss.add(torch.tensor(2.0), torch.ones(1, 5))
    assert float(loss.taken()) == 2.0, "an epoch begins with nothing"


def test_a_loss_that_is_not_finite_stops_the_fit(tmp_path: Path) -> None:
    schema = make_schema()
    fit = Fit(max_epochs=2)
    forecaster = make_forecaster("lstm", SMALL, schema, fit)
    batches = Batches(schema)
    bad = batches.batches[2]
    batches.batches[2] = bad._replace(
        location=bad.location, target=torch.full_like(bad.real[:, :, :1], float("nan"))
    )
    with pytest.raises(TrainingDiverged, match="lstm: the loss is not finite at epoch 0, step 2"):
        trainer(fit, tmp_path).fit(forecaster, DataLoader(batches, batch_size=None))


def test_gradients_are_clipped() -> None:
    forecaster = make_forecaster("lstm", SMALL, make_schema(), Fit(clip=1e-3))
    for parameter in forecaster.parameters():
        parameter.grad = torch.ones_like(parameter)
    forecaster.configure_gradient_clipping(torch.optim.SGD(forecaster.parameters(), lr=1.0))
    total = torch.nn.utils.get_total_norm([parameter.grad for parameter in forecaster.parameters()])  # type: ignore[misc]
    assert float(total) == pytest.approx(1e-3, rel=1e-3)


def test_forecast_is_in_original_units() -> None:
    schema = make_schema(targets=2, target_transform="log1p", quantile=LEVELS)
    forecaster = make_forecaster("bilstm", SMALL, schema).eval()
    batch = make_batch(schema)
    row_id, value = forecaster.forecast(batch)
    assert torch.equal(row_id, batch.row_id)
    assert value.shape == (4, schema.length, 2, 1 + 3)
    assert (value.diff(dim=-1)[..., 1:] >= 0).all()
    scaled = forecaster(batch)[..., 1]
    expected = torch.expm1(scaled * batch.scale[:, None] + batch.location[:, None])
    torch.testing.assert_close(value[..., 0], expected)
    moved = forecaster.forecast(batch._replace(location=batch.location + 1.0, scale=batch.scale, target=None))
    torch.testing.assert_close((moved.value + 1.0).log(), (value + 1.0).log() + 1.0)


def test_the_folder_holds_weights_and_json_and_can_be_read_back(tmp_path: Path) -> None:
    schema = make_schema(quantile=LEVELS)
    fit = Fit(max_epochs=1)
    forecaster = fitted(fit, tmp_path / "run", schema)
    folder = tmp_path / "model"
    forecaster.save(folder)
    assert sorted(file.name for file in folder.iterdir()) == ["config.json", "weights.safetensors"]
    content = json.loads((folder / "config.json").read_text())
    assert content["network"] == "bilstm"
    assert content["config"]["hidden"] == 6
    assert (content["head"], content["loss"]) == ("quantile", "pinball")
    assert InputSchema.from_json(content["schema"]) == schema
    again = Forecaster.load(folder)
    batch = make_batch(schema)
    torch.testing.assert_close(again.forecast(batch).value, forecaster.forecast(batch).value, rtol=0, atol=0)


def test_broken_folders_are_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"config.json: cannot be read"):
        Forecaster.load(tmp_path)
    folder = tmp_path / "model"
    make_forecaster("lstm", SMALL, make_schema()).save(folder)

    def broken(name: str) -> Path:
        copy = tmp_path / name
        shutil.copytree(folder, copy)
        return copy

    cut = broken("cut") / "weights.safetensors"
    cut.write_bytes(cut.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"weights.safetensors: cannot be read"):
        Forecaster.load(cut.parent)
    missing = broken("missing")
    (missing / "weights.safetensors").unlink()
    with pytest.raises(InputError, match=r"weights.safetensors: cannot be read"):
        Forecaster.load(missing)
    other = broken("other") / "config.json"
    other.write_text(other.read_text().replace('"hidden": 6', '"hidden": 7'))
    with pytest.raises(InputError, match=r"weights.safetensors: cannot be read"):
        Forecaster.load(other.parent)
    newer = broken("newer") / "config.json"
    newer.write_text(newer.read_text().replace('"format": 1', '"format": 99'))
    with pytest.raises(InputError, match="format 99 is of a later version"):
        Forecaster.load(newer.parent)


def test_compiled_network_keeps_its_names() -> None:
    plain = make_forecaster("tcn", {"hidden": 4}, make_schema(), Fit())
    compiled = make_forecaster("tcn", {"hidden": 4}, make_schema(), Fit(compile=True))
    assert list(plain.state_dict()) == list(compiled.state_dict())


def test_bad_names() -> None:
    with pytest.raises(InputError, match=r"member: unknown network 'bilsm'; did you mean 'bilstm'"):
        make_forecaster("bilsm", {}, make_schema())
    with pytest.raises(InputError, match=r"member.lstm: unknown setting 'layer'; did you mean 'layers'"):
        make_forecaster("lstm", {"layer": 3}, make_schema())


@pytest.mark.parametrize("name", HEADS.names())
def test_every_head_is_fitted_stored_and_read_back(name: str, tmp_path: Path) -> None:
    """With auxiliary outputs behind it, which change no forecast."""
    schema = make_schema(targets=2, quantile=LEVELS)
    fit = Fit(max_epochs=12, learning_rate=2e-2, auxiliary_differences=2, auxiliary_weight=0.1)
    torch.manual_seed(0)
    forecaster = make_forecaster(
        "bilstm", SMALL, schema, fit, name, head_settings=SETTINGS.get(name), auxiliary=2
    )
    batches = Batches(schema)
    for index, batch in enumerate(batches.batches):
        target = counts(batch) if HEADS.get(name).transforms else batch.target
        batches.batches[index] = batch._replace(target=target)

    def loss() -> float:
        with torch.no_grad():
            return float(sum(forecaster.loss(forecaster(batch), batch) for batch in batches.batches))

    before = loss()
    trainer(fit, tmp_path).fit(forecaster, DataLoader(batches, batch_size=None))
    assert loss() < before - 0.02 * abs(before)
    forecaster.eval().save(tmp_path / "model")
    again = Forecaster.load(tmp_path / "model")
    assert (type(again.head), type(again.loss)) == (type(forecaster.head), type(forecaster.loss))
    assert again.head.config == forecaster.head.config
    batch = batches.batches[0]
    forecast = again.forecast(batch).value
    assert forecast.shape == (8, schema.length, 2, 1 + len(again.head.levels))
    torch.testing.assert_close(forecast, forecaster.forecast(batch).value, rtol=0, atol=0)


def counts(batch: SequenceBatch) -> Tensor:
    """Targets that are 0, 1, 2 or 3 in original units, as an input says."""
    value = (batch.real[:, :, :1].abs() * 2.0).round().clamp(max=3.0)
    assert batch.target is not None
    return (value.expand_as(batch.target) - batch.location[:, None]) / batch.scale[:, None]


def test_auxiliary_outputs_are_learnt_and_never_predicted(tmp_path: Path) -> None:
    schema = make_schema(targets=2)
    batch = Batches(schema).batches[0]
    torch.manual_seed(0)
    forecaster = make_forecaster("bilstm", SMALL, schema, Fit(auxiliary_weight=0.5), hint="l2", auxiliary=3)
    parameters, differences = forecaster._read(forecaster.network(batch), batch)
    assert differences is not None
    assert (parameters.shape, differences.shape) == (
        (8, schema.length, 2, 1),
        (8, schema.length, 2, 3),
    )
    output = forecaster.network(batch).unflatten(-1, (2, 4))
    torch.testing.assert_close(output[..., :1], parameters)
    torch.testing.assert_close(output[..., 1:], differences)
    forecaster.log = lambda *words, **more: None  # type: ignore[method-assign, assignment]
    own, beside = forecaster.loss(parameters, batch), difference_loss(differences, batch)
    torch.testing.assert_close(forecaster.training_step(batch, 0), own + 0.5 * beside)


def test_a_level_is_added_to_values_alone() -> None:
    """What moves with the series is the location, not the deviation."""
    schema = make_schema(quantile=LEVELS)
    batch = make_batch(schema)
    settings = {"add_last": "last", **SMALL}
    moved = []
    for name in ("gaussian", "quantile", "negative_binomial"):
        torch.manual_seed(0)
        forecaster = make_forecaster("bilstm", settings, schema, head=name).eval()
        with torch.no_grad():
            output = forecaster.network(batch)
            forecaster.network.naive = None  # type: ignore[assignment]
            moved.append((output - forecaster.network(batch))[batch.asked].abs().amax(0) > 0)
    assert [part.tolist() for part in moved] == [[True, False], [True] * 3, [False] * 2]


def test_mixup_is_refused_where_it_makes_no_sense() -> None:
    with pytest.raises(InputError, match=r"fit.mixup: found 0.4, expected 0: fit.head=poisson needs whole"):
        make_forecaster("lstm", SMALL, make_schema(), Fit(mixup=0.4), "poisson")
    make_forecaster("lstm", SMALL, make_schema(), Fit(mixup=0.4), "tweedie")


def test_a_gaussian_head_learns_how_sure_it_can_be(tmp_path: Path) -> None:
    """Noise that an input tells: the quantiles of windows never seen hold their share of the truth."""
    schema = make_schema(quantile=LEVELS)

    def noisy(seed: int) -> SequenceBatch:
        batch = make_batch(schema, windows=64, seed=seed, even=True)
        generator = torch.Generator().manual_seed(1000 + seed)
        noise = torch.randn(batch.real.shape[:2], generator=generator)
        deviation = 0.3 * batch.real[:, :, 1].clamp(-1.5, 1.5).exp()
        return batch._replace(target=(batch.real[:, :, 0] + deviation * noise)[..., None])

    batches = Batches(schema)
    batches.batches = [noisy(seed) for seed in range(30)]
    fit = Fit(max_epochs=8, learning_rate=2e-2)
    torch.manual_seed(0)
    forecaster = make_forecaster("bilstm", {**SMALL, "hidden": 12}, schema, fit, "gaussian")
    trainer(fit, tmp_path).fit(forecaster, DataLoader(batches, batch_size=None))
    forecaster.eval()
    for wide in (False, True):  # where the noise is small, and where it is large
        below = []
        for seed in range(100, 110):
            batch = noisy(seed)
            assert batch.target is not None
            with torch.no_grad():
                quantile = forecaster.head.forecast(forecaster(batch))[:, :, 0, 1:]
            rows = batch.asked & ((batch.real[:, :, 1] > 0) == wide)
            below.append((batch.target <= quantile)[rows])
        share = torch.cat(below).float().mean(0)
        torch.testing.assert_close(share, torch.tensor(LEVELS), rtol=0, atol=0.05)
