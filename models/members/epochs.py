"""A look at a network between two epochs: what it would predict by the weights as they are."""

from __future__ import annotations

from collections.abc import Callable

import lightning
import numpy as np
import pandas as pd
import torch
from lightning.pytorch.callbacks import Callback

from data.folds import Origins
from data.origins import batches_of
from data.predictions import prediction_table
from data.windows import WindowDataset
from models.forecaster import Forecaster
from models.members.base import FitTask

WINDOWS_PREDICTED_AT_ONCE = 512


def predicted(forecaster: Forecaster, dataset: WindowDataset, asked: Origins) -> pd.DataFrame:
    """Predictions of all asked rows of the windows at `asked`; the forecaster is in evaluation already."""
    row_id, origin, value = [], [], []
    for pairs in batches_of(asked, WINDOWS_PREDICTED_AT_ONCE):
        batch = dataset[pairs]
        forecast = forecaster.forecast(batch)
        chosen = batch.asked
        row_id.append(forecast.row_id[chosen].cpu().numpy())
        value.append(forecast.value[chosen].float().cpu().numpy())
        counts = chosen.sum(1).cpu().numpy()
        origin.append(np.repeat(pairs[:, 1], counts))
    return prediction_table(
        np.concatenate(row_id), np.concatenate(origin), np.concatenate(value), forecaster.head.levels
    )


class EpochEnded(Callback):
    """Calls `task.epoch_ended` after every epoch; what it asks to be predicted changes nothing of the fit.

    No gradient is taken, layers are in evaluation meanwhile, random state is put back. Raised errors end the
    fit, before that epoch's checkpoint.
    """

    def __init__(self, task: FitTask, device: torch.device) -> None:
        self._task, self._device = task, device
        self._dataset: WindowDataset | None = None

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        assert isinstance(pl_module, Forecaster)
        assert self._task.epoch_ended is not None
        self._task.epoch_ended(trainer.current_epoch + 1, self._predict(pl_module))

    def _predict(self, forecaster: Forecaster) -> Callable[[Origins], pd.DataFrame]:
        def predict(asked: Origins) -> pd.DataFrame:
            if self._dataset is None:
                task = self._task
                self._dataset = WindowDataset(task.inputs, task.windows.scaling, self._device, False)
            training = {module: module.training for module in forecaster.modules()}
            forecaster.eval()
            gpus = [self._device] if self._device.type == "cuda" else []
            try:
                # Not inference_mode: a tensor that a layer keeps from it could not be trained with.
                with torch.random.fork_rng(gpus), torch.no_grad():
                    return predicted(forecaster, self._dataset, asked)
            finally:
                for module, was in training.items():
                    module.training = was

        return predict
