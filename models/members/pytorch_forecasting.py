"""tft and nhits: pytorch-forecasting's own models as members, fed through its TimeSeriesDataSet.

Our windows are what they learn from: each becomes one series of a TimeSeriesDataSet (history in front of the
origin, padded at its beginning; horizon behind it), already scaled, blanked and weighted. So the leak rule,
the scaling and the draw of training windows are those of every other member, and what is compared is the
model. There is one model a target. They are trained by Lightning with their own losses and optimiser code.
"""

from __future__ import annotations

import json
import time
from abc import abstractmethod
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import lightning
import numpy as np
import pandas as pd
import torch
from lightning.pytorch.callbacks import Callback
from pytorch_forecasting import TimeSeriesDataSet
from pytorch_forecasting.data import NaNLabelEncoder, TorchNormalizer
from pytorch_forecasting.metrics import MAE, RMSE, MultiHorizonMetric, QuantileLoss
from pytorch_forecasting.models import NHiTS, TemporalFusionTransformer
from safetensors.torch import load_model, save_model
from torch.utils.data import DataLoader, Dataset

from data.batch import SequenceBatch
from data.errors import OutOfTime
from data.folds import Origins
from data.inputs import Inputs
from data.origins import batches_of
from data.predictions import prediction_table
from data.windows import WindowDataset
from models.members.base import MEMBERS, FitTask, Member
from models.members.devices import choose_device, determinism
from models.members.training import mixed_seed, quiet, training_sampler
from models.optimisation import learning_rate_factor, lightning_precision
from models.settings import Fit
from models.units import Units

WINDOWS_PREDICTED_AT_ONCE = 512

#: Training losses, by the name that a metric hints at, that are squared; all others learn the median.
SQUARED = ("l2", "rmspe", "rmsle")


@dataclass(frozen=True)
class WindowFrame:
    """Windows as a long table of `context + horizon` rows each, and what its columns are."""

    table: pd.DataFrame
    static_real: list[str]
    static_category: list[str]
    category: list[str]
    known: list[str]  # visible on some row of the horizon
    past: list[str]  # blanked from the origin on
    sizes: dict[str, int]  # codes of each category


def window_frame(inputs: Inputs, batch: SequenceBatch, target: int) -> WindowFrame:
    """The windows of `batch` with the origin at the same row, `context`, in all of them.

    Rows that a window does not have are zero, as blanked values are, and weigh nothing. `y` is the past
    target before the origin and what is to be learnt from it on (0 where the batch has no target).
    """
    schema = inputs.schema
    length = schema.context + schema.horizon
    index = torch.arange(length)[None, :] + (batch.origin[:, None] - schema.context)  # row of the window
    there = (index >= 0) & (index < batch.length[:, None])
    index = index.clamp(0, batch.rows - 1)

    def placed(values: torch.Tensor) -> np.ndarray:
        """(B, L, ...) -> (B * length, ...), zero where the window has no such row."""
        shape = (*index.shape, *(1,) * (values.dim() - 2))
        taken = values.gather(1, index.reshape(shape).expand(*index.shape, *values.shape[2:]))
        taken = taken.masked_fill(~there.reshape(shape), 0)
        return np.asarray(taken.flatten(0, 1).numpy())

    number = np.repeat(np.arange(len(batch.length)), length)
    columns: dict[str, Any] = {
        "window": pd.Series(number).map("{:07d}".format).to_numpy(),
        "step": np.tile(np.arange(length), len(batch.length)),
    }
    real = placed(batch.real)
    past_target = schema.reals("past_target")[target]
    names: dict[str, list[str]] = {"known": [], "past": []}
    for place, column in enumerate(inputs.column):
        if place == past_target:
            continue
        visible = column.reach is None or column.reach > 0
        name = f"real{place}"
        names["known" if visible else "past"].append(name)
        columns[name] = real[:, place]
    y = real[:, past_target].copy()
    if batch.target is not None:
        horizon = columns["step"] >= schema.context
        y[horizon] = placed(batch.target)[horizon, target]
    columns["y"], columns["weight"] = y, placed(batch.weight)
    sizes: dict[str, int] = {}
    code = placed(batch.category)
    for place, size in enumerate(schema.category_size):
        columns[f"category{place}"], sizes[f"category{place}"] = code[:, place].astype(str), size
    for place in range(batch.static_real.shape[1]):
        columns[f"static_real{place}"] = batch.static_real[:, place].numpy()[number]
    for place, size in enumerate(schema.static_category_size):
        name = f"static_category{place}"
        columns[name], sizes[name] = batch.static_category[:, place].numpy()[number].astype(str), size
    return WindowFrame(
        table=pd.DataFrame(columns),
        static_real=[name for name in columns if name.startswith("static_real")],
        static_category=[name for name in columns if name.startswith("static_category")],
        category=[name for name in columns if name.startswith("category")],
        known=names["known"],
        past=names["past"],
        sizes=sizes,
    )


def as_dataset(frame: WindowFrame, context: int, horizon: int) -> TimeSeriesDataSet:
    """One sample a window. Nothing is fitted: codes are known, and everything is scaled already."""
    encoders = {
        name: NaNLabelEncoder().fit(pd.Series(np.arange(size).astype(str)))
        for name, size in frame.sizes.items()
    }
    return TimeSeriesDataSet(
        frame.table,
        time_idx="step",
        target="y",
        group_ids=["window"],
        weight="weight",
        min_encoder_length=context,
        max_encoder_length=context,
        min_prediction_length=horizon,
        max_prediction_length=horizon,
        static_reals=frame.static_real,
        static_categoricals=frame.static_category,
        time_varying_known_categoricals=frame.category,
        time_varying_known_reals=frame.known,
        time_varying_unknown_reals=["y", *frame.past],
        categorical_encoders=encoders,
        scalers=dict.fromkeys([*frame.known, *frame.past, *frame.static_real]),
        target_normalizer=TorchNormalizer(method="identity"),
    )


class PyTorchForecastingMember(Member):
    """Subclasses name the model and turn their settings into its arguments.

    Points are the median of a loss of absolutes, or the mean of a squared one, as the metric hints; where
    quantiles are asked for, the loss is the pinball loss and all of them come out. A fit that was killed
    starts over.
    """

    version: ClassVar[int] = 3
    tasks: ClassVar[tuple[str, ...]] = ("horizon",)
    cost: ClassVar[int] = 8
    predicts_quantiles: ClassVar[bool] = True
    reads_fit: ClassVar[tuple[str, ...] | None] = (
        "max_epochs",
        "batch_size",
        "learning_rate",
        "weight_decay",
        "schedule",
        "warmup",
        "clip",
        "loss",
        "threads",
        "precision",
        "device",
        "deterministic",
    )

    @abstractmethod
    def model(self, dataset: TimeSeriesDataSet, settings: dict[str, Any]) -> lightning.LightningModule:
        """The model for such windows; `settings` are those that all of pytorch-forecasting's models share."""

    def fit(self, task: FitTask) -> None:
        torch.set_num_threads(task.fit.threads)
        device = choose_device(task.fit.device)
        windows = WindowDataset(task.inputs, task.windows.scaling).until(task.fold.train_end)
        for target in range(task.inputs.schema.targets):
            lightning.seed_everything(mixed_seed(task.seed, target), workers=False, verbose=False)
            with quiet():
                model = self._fresh(task, target)
                trainer = lightning.Trainer(
                    accelerator="cuda" if device.type == "cuda" else "cpu",
                    devices=[device.index or 0] if device.type == "cuda" else 1,
                    precision=lightning_precision(task.fit.precision, device),
                    max_epochs=task.fit.max_epochs,
                    gradient_clip_val=task.fit.clip or None,
                    deterministic=determinism(task.fit, device),
                    callbacks=[_Progress(task, target)],
                    logger=False,
                    enable_checkpointing=False,
                    enable_progress_bar=False,
                    enable_model_summary=False,
                    num_sanity_val_steps=0,
                    default_root_dir=task.folder,
                )
                trainer.fit(model, _loader(task, windows, target))
            save_model(model.cpu(), str(task.folder / f"target{target}.safetensors"))
        content = {"settings": asdict(self.config), "schema": task.inputs.schema.to_json()}
        (task.folder / "config.json").write_text(json.dumps(content, indent=2))

    def predict(self, task: FitTask, asked: Origins, part: str) -> pd.DataFrame:
        torch.set_num_threads(task.fit.threads)
        schema = task.inputs.schema
        windows = WindowDataset(task.inputs, task.windows.scaling, with_target=False)
        models = []
        for target in range(schema.targets):
            with quiet():
                model = self._fresh(task, target)
            load_model(model, task.folder / f"target{target}.safetensors")
            models.append(model.eval())
        row_id, origin, value = [], [], []
        with torch.inference_mode(), quiet():
            for pairs in batches_of(asked, WINDOWS_PREDICTED_AT_ONCE):
                batch = windows[pairs]
                scaled = torch.stack(
                    [self._forecast(models[target], task, batch, target) for target in range(len(models))], 2
                )
                values = Units.of(batch, schema).original(scaled)
                chosen = batch.asked
                row_id.append(batch.row_id[chosen].numpy())
                value.append(values[chosen].float().numpy())
                origin.append(np.repeat(pairs[:, 1], chosen.sum(1).numpy()))
        return prediction_table(
            np.concatenate(row_id), np.concatenate(origin), np.concatenate(value), schema.quantile
        )

    def parameters(self, task: FitTask) -> int | None:
        with quiet():
            models = [self._fresh(task, target) for target in range(task.inputs.schema.targets)]
        return sum(parameter.numel() for model in models for parameter in model.parameters())

    def _fresh(self, task: FitTask, target: int) -> lightning.LightningModule:
        """An untrained model. Its shape is that of the inputs, so one window of zeros tells it."""
        schema = task.inputs.schema
        zeros = WindowDataset(task.inputs, task.windows.scaling, with_target=False)[
            np.zeros((1, 2), dtype=np.int64)
        ]
        dataset = as_dataset(window_frame(task.inputs, zeros, target), schema.context, schema.horizon)
        return self.model(
            dataset,
            {
                "loss": _loss(task),
                "learning_rate": _learning_rates(task.fit),
                "weight_decay": task.fit.weight_decay,
                "optimizer": "adamw",
                "log_interval": -1,
            },
        )

    def _forecast(
        self, model: lightning.LightningModule, task: FitTask, batch: SequenceBatch, target: int
    ) -> torch.Tensor:
        """(B, L, 1 + Q) scaled: the rows of the horizon stand from each window's origin on."""
        schema = task.inputs.schema
        dataset = as_dataset(window_frame(task.inputs, batch, target), schema.context, schema.horizon)
        loader = dataset.to_dataloader(train=False, batch_size=WINDOWS_PREDICTED_AT_ONCE, num_workers=0)
        parts = [model(x)["prediction"] for x, _ in loader]
        output = torch.cat(parts)  # (B, horizon, P)
        if schema.quantile:  # the median is the first level; sorting keeps the others from crossing
            output = torch.cat([output[..., :1], output[..., 1:].sort(-1).values], -1)
        step = (torch.arange(batch.rows)[None, :] - batch.origin[:, None]).clamp(0, schema.horizon - 1)
        return output.gather(1, step[:, :, None].expand(-1, -1, output.shape[2]))


def _learning_rates(fit: Fit) -> list[float]:
    """One an epoch, along `fit.schedule`; it cannot follow a plateau, since nothing is watched."""
    schedule = "constant" if fit.schedule == "plateau" else fit.schedule
    factor = [
        learning_rate_factor(schedule, epoch, fit.max_epochs, fit.warmup) for epoch in range(fit.max_epochs)
    ]
    return [fit.learning_rate * value for value in factor]


def _loss(task: FitTask) -> MultiHorizonMetric:
    quantile = task.inputs.schema.quantile
    if quantile:
        return QuantileLoss(quantiles=[0.5, *quantile])
    name = task.loss if task.fit.loss == "auto" else task.fit.loss
    return RMSE() if name in SQUARED else MAE()


def _loader(task: FitTask, windows: WindowDataset, target: int) -> DataLoader:
    """Training batches. Lightning tells a DataLoader's sampler which epoch begins; what it draws follows."""
    return DataLoader(
        _Batches(task, windows, target),
        sampler=training_sampler(task, task.fold.train_end),
        batch_size=None,
        collate_fn=lambda batch: batch,  # it is one already, of the types that their losses look for
    )


class _Batches(Dataset[Any]):
    """Our windows as batches of pytorch-forecasting, to be asked for as those of a WindowDataset are."""

    def __init__(self, task: FitTask, windows: WindowDataset, target: int) -> None:
        self._inputs, self._windows, self._target = task.inputs, windows, target

    def __getitem__(self, pairs: np.ndarray) -> Any:
        """One batch of the windows at pairs, (B, 2) series and origin row: x and (truth, weight)."""
        schema = self._inputs.schema
        frame = window_frame(self._inputs, self._windows[pairs], self._target)
        dataset = as_dataset(frame, schema.context, schema.horizon)
        [batch] = dataset.to_dataloader(train=False, batch_size=len(pairs), num_workers=0)
        return batch


class _Progress(Callback):
    """Says how far a fit is, and ends it at the deadline."""

    def __init__(self, task: FitTask, target: int) -> None:
        self._task, self._target = task, target

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        task, epochs = self._task, int(trainer.max_epochs or 1)
        if task.deadline is not None and time.monotonic() > task.deadline:
            raise OutOfTime(f"in epoch {trainer.current_epoch + 1} of {epochs}")
        steps, targets = max(1, int(trainer.num_training_batches)), task.inputs.schema.targets
        if (batch_idx + 1) % max(1, steps // 10) == 0 or batch_idx + 1 == steps:
            share = (self._target + (trainer.current_epoch + (batch_idx + 1) / steps) / epochs) / targets
            task.progress(share, f"epoch {trainer.current_epoch + 1}/{epochs}")


@MEMBERS.register("tft")
class TFT(PyTorchForecastingMember):
    """pytorch-forecasting's Temporal Fusion Transformer (Lim et al. 2021)."""

    @dataclass(frozen=True)
    class Config:
        """Settings."""

        hidden: int = 32
        hidden_continuous: int = 16
        heads: int = 4
        layers: int = 1  # of the LSTM
        dropout: float = 0.1

    config: Config

    def model(self, dataset: TimeSeriesDataSet, settings: dict[str, Any]) -> lightning.LightningModule:
        config = self.config
        return TemporalFusionTransformer.from_dataset(
            dataset,
            hidden_size=config.hidden,
            hidden_continuous_size=config.hidden_continuous,
            attention_head_size=config.heads,
            lstm_layers=config.layers,
            dropout=config.dropout,
            **settings,
        )

    @classmethod
    def small(cls) -> Config:
        return cls.Config(hidden=4, hidden_continuous=2, heads=1)

    @classmethod
    def search(cls, trial: Any) -> dict[str, Any]:
        return {
            "hidden": trial.suggest_categorical("hidden", [16, 32, 64, 128]),
            "hidden_continuous": trial.suggest_categorical("hidden_continuous", [8, 16, 32]),
            "heads": trial.suggest_categorical("heads", [1, 4]),
            "layers": trial.suggest_int("layers", 1, 2),
            "dropout": trial.suggest_float("dropout", 0.0, 0.3),
        }


@MEMBERS.register("nhits")
class NHits(PyTorchForecastingMember):
    """pytorch-forecasting's N-HiTS (Challu et al. 2023, "N-HiTS: neural hierarchical interpolation")."""

    @dataclass(frozen=True)
    class Config:
        """Settings."""

        hidden: int = 256
        layers: int = 2  # of each block
        static_hidden: int = 16
        dropout: float = 0.0

    config: Config

    def model(self, dataset: TimeSeriesDataSet, settings: dict[str, Any]) -> lightning.LightningModule:
        config = self.config
        return NHiTS.from_dataset(
            dataset,
            hidden_size=config.hidden,
            n_layers=config.layers,
            static_hidden_size=config.static_hidden,
            dropout=config.dropout,
            **settings,
        )

    @classmethod
    def small(cls) -> Config:
        return cls.Config(hidden=4, layers=1, static_hidden=2)

    @classmethod
    def search(cls, trial: Any) -> dict[str, Any]:
        return {
            "hidden": trial.suggest_categorical("hidden", [64, 128, 256, 512]),
            "layers": trial.suggest_int("layers", 1, 3),
            "dropout": trial.suggest_float("dropout", 0.0, 0.3),
        }
