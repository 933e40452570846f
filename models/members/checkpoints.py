"""What a running fit of a network keeps: its log, the last epoch's checkpoint, the best epoch's weights."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, Checkpoint
from safetensors.torch import load_file, save_file

from data.errors import OutOfTime
from models.forecaster import Forecaster
from models.members.base import FitTask
from models.members.epoch_log import LOG, append_row, best_epoch
from models.members.ranks import Rank
from models.members.training import mixed_seed

CHECKPOINT = "last.ckpt"
BEST = "best.safetensors"  # with early stopping: the weights of the best epoch so far


class BestWeights(Callback):
    """Keeps the weights that had the lowest loss on the inner slice, in `file`: a kill does not lose them.

    Which epoch is the best is said by the log, where a fit that goes on finds the epochs before the kill.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._watched: dict[str, torch.Tensor] = {}

    def on_validation_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        # Here and not at the end of the epoch: averaged weights stand in the model only while it is watched.
        self._watched = {
            name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
            for name, value in pl_module.state_dict().items()
        }

    def keep(self) -> None:
        """Those just watched are the best so far."""
        aside = self._file.with_name(f".{self._file.name}.part")
        save_file(self._watched, aside)
        os.replace(aside, self._file)

    def restore(self, forecaster: Forecaster) -> None:
        forecaster.load_state_dict(load_file(self._file))


class Epochs(Checkpoint):
    """Seeds each epoch, keeps the last one's checkpoint and the log, reports progress, minds the deadline.

    Of several processes rank 0 alone has something to report and to write. `best`: with early stopping, what
    keeps the weights to which the fit returns. Lightning calls a `Checkpoint` after everything else that
    happens at the end of an epoch (weight averages, plateau's step), so that these are in what is saved.
    """

    def __init__(self, task: FitTask, rank: Rank) -> None:
        self._task, self._rank = task, rank
        self._started = time.monotonic()
        self.best: BestWeights | None = None

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        done, epochs = trainer.current_epoch, max(1, int(trainer.max_epochs or 1))
        if done:
            self._task.progress(done / epochs, f"goes on after epoch {done}/{epochs}")

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        # Not on_train_epoch_start: Lightning leaves that out in the epoch at which a fit is taken up again.
        self._rank.watch()
        if batch_idx == 0:
            assert isinstance(pl_module, Forecaster)
            words = (self._task.seed, 1, trainer.current_epoch)
            pl_module.share.seed(mixed_seed(*words), mixed_seed(*words, 1 + self._rank.number))
            self._started = time.monotonic()

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        deadline = self._task.deadline
        if deadline is not None and time.monotonic() > deadline:
            raise OutOfTime(f"in epoch {trainer.current_epoch + 1} of {trainer.max_epochs}")
        steps = max(1, int(trainer.num_training_batches))
        if batch_idx % max(1, steps // 10) == 0:
            epochs = max(1, int(trainer.max_epochs or 1))
            share = (trainer.current_epoch + (batch_idx + 1) / steps) / epochs
            self._task.progress(share, f"epoch {trainer.current_epoch + 1}/{epochs}")

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        row = {
            "epoch": trainer.current_epoch,
            "train_loss": float(trainer.callback_metrics.get("train_loss", float("nan"))),
            "inner_loss": float(trainer.callback_metrics.get("inner_loss", float("nan"))),
            "learning_rate": trainer.optimizers[0].param_groups[0]["lr"],
            "seconds": time.monotonic() - self._started,
        }
        leads = self._rank.number == 0
        if leads:
            append_row(self._task.folder / LOG, row)
            if self.best is not None and best_epoch(self._task.folder) == trainer.current_epoch + 1:
                self.best.keep()
        epochs = max(1, int(trainer.max_epochs or 1))
        # After the last epoch the weights themselves are saved. A checkpoint of it could not be gone on from:
        # that it was stopped early is not in it, and averaged weights come in when the training ends.
        if trainer.current_epoch + 1 < epochs and not trainer.should_stop:
            aside = self._task.folder / f".{CHECKPOINT}.part"
            trainer.save_checkpoint(aside)  # all processes meet here, rank 0 writes
            if leads:
                os.replace(aside, self._task.folder / CHECKPOINT)
        text = f"epoch {trainer.current_epoch + 1}/{epochs} loss {row['train_loss']:.4g}"
        self._task.progress((trainer.current_epoch + 1) / epochs, text)
