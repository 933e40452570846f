"""Any registered network as a member: windows, the forecaster, Lightning's trainer, and a resumable fit.

A fit is resumed at the last finished epoch and ends in the same weights bit for bit: what an epoch draws
(origins, dropout) depends on (seed, epoch) alone, and the rest of the state is in the checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import lightning
import numpy as np
import pandas as pd
import torch
from lightning.pytorch.callbacks import Callback
from torch.utils.data import DataLoader

from data.folds import Origins
from data.origins import batches_of
from data.windows import WindowDataset
from models.forecaster import Forecaster, early_stopping, make_forecaster
from models.interpretation import Interpretation, Looked
from models.members.base import FitTask, Member
from models.members.batch_size import Step, trial_step, with_batch_size
from models.members.checkpoints import BEST, CHECKPOINT, BestWeights, Epochs
from models.members.devices import choose_device, choose_devices, determinism, multiply_exactly
from models.members.epochs import WINDOWS_PREDICTED_AT_ONCE, EpochEnded, predicted
from models.members.ranks import Rank, Ranks
from models.members.training import (
    mixed_seed,
    quiet,
    training_origins,
    training_sampler,
    training_targets,
    windows_an_epoch,
)
from models.network import NETWORKS, Network
from models.optimisation import EXACT, lightning_precision
from models.settings import Fit
from models.share import Share

FINISHED = "config.json"  # the last file that `Forecaster.save` writes: where it is, the weights are whole
#: Validation windows that a network is asked what it looks at, spread evenly: for a mean that is plenty.
WINDOWS_INTERPRETED = 2048
WINDOWS_INTERPRETED_AT_ONCE = 64  # attention is (L, L) a window


class NeuralMember(Member):
    """Fits the network called `network` with the settings `config`."""

    version: ClassVar[int] = 5
    reports_epochs: ClassVar[bool] = True
    predicts_quantiles: ClassVar[bool] = True

    def __init__(self, network: str, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        self.network = network

    def fit(self, task: FitTask) -> None:
        """Fit, or go on from the last epoch's checkpoint; weights that are there already are kept."""
        if (task.folder / FINISHED).exists():
            task.progress(1.0, "fitted before")
            return
        devices = choose_devices(task.fit)
        task = replace(task, fit=self._with_batch_size(task, devices))
        checkpoint = task.folder / CHECKPOINT
        resumed = checkpoint.exists()
        if len(devices) == 1:
            forecaster = self.train(task, Rank(0, devices), resumed)
        else:
            with Ranks(self.network, self.config, task, devices, resumed) as rank:
                forecaster = self.train(task, rank, resumed)
        forecaster.save(task.folder)
        checkpoint.unlink(missing_ok=True)
        (task.folder / BEST).unlink(missing_ok=True)

    def train(self, task: FitTask, rank: Rank, resumed: bool) -> Forecaster:
        """One process's part of the fit. `resumed`: it goes on from the checkpoint in the folder."""
        fit, device = task.fit, rank.device
        torch.set_num_threads(fit.threads)
        lightning.seed_everything(mixed_seed(task.seed), workers=False, verbose=False)
        train_end, inner = _inner_part(task)
        dataset = WindowDataset(task.inputs, task.windows.scaling, device)
        forecaster, learnt_from = self._fresh(task, dataset, train_end)
        forecaster.share = Share(rank.number, len(rank.devices))
        training = DataLoader(learnt_from, sampler=training_sampler(task, train_end), batch_size=None)
        watched: DataLoader | None = None
        epochs = Epochs(task, rank)
        callbacks: list[Callback] = [epochs]
        if task.epoch_ended is not None:
            callbacks.append(EpochEnded(task, device))
        if inner is not None:
            pairs = list(batches_of(inner, WINDOWS_PREDICTED_AT_ONCE))
            watched = DataLoader(dataset.until(task.fold.train_end), sampler=pairs, batch_size=None)  # type: ignore[arg-type]
            if fit.early_stopping:
                epochs.best = BestWeights(task.folder / BEST)
                callbacks += [early_stopping(fit.patience), epochs.best]
        precision = lightning_precision(fit.precision, device)
        multiply_exactly(device, precision == EXACT)
        with quiet():
            trainer = lightning.Trainer(
                accelerator=device.type,
                devices=len(rank.devices)
                if device.type != "cuda"
                else [one.index or 0 for one in rank.devices],
                strategy="auto" if len(rank.devices) == 1 else rank.strategy(),
                use_distributed_sampler=False,  # all draw the same batches, and take their shares
                precision=precision,
                max_epochs=fit.max_epochs,
                deterministic=determinism(fit, device),
                callbacks=callbacks,
                logger=False,
                enable_checkpointing=True,  # by Epochs alone
                enable_progress_bar=False,
                enable_model_summary=False,
                num_sanity_val_steps=0,
                default_root_dir=task.folder,
            )
            trainer.fit(
                forecaster, training, watched, ckpt_path=task.folder / CHECKPOINT if resumed else None
            )
        if epochs.best is not None and rank.number == 0:
            epochs.best.restore(forecaster)
        return forecaster

    def _fresh(
        self, task: FitTask, dataset: WindowDataset, train_end: np.ndarray
    ) -> tuple[Forecaster, WindowDataset]:
        """A forecaster that has learnt nothing, and the windows before `train_end` (S,) to learn from."""
        fit = task.fit
        learnt_from = dataset.with_unjudged(fit.unjudged_weight) if fit.unjudged_weight else dataset
        learnt_from = learnt_from.until(train_end)
        forecaster = make_forecaster(
            self.network,
            self.config,
            task.inputs.schema,
            fit,
            head=fit.head,
            loss=fit.loss,
            hint=task.loss,
            head_settings=fit.head_settings,
            targets=training_targets(task, learnt_from, train_end),
            auxiliary=fit.auxiliary_differences,
        )
        return forecaster, learnt_from

    def _with_batch_size(self, task: FitTask, devices: list[torch.device]) -> Fit:
        """The fit's settings with numbers for what is `auto` in them."""
        train_end, _ = _inner_part(task)
        device = devices[0]

        def per_epoch() -> int:
            return windows_an_epoch(task, train_end)

        def make_step() -> Step:
            torch.set_num_threads(task.fit.threads)
            dataset = WindowDataset(task.inputs, task.windows.scaling, device)
            plain = replace(task, fit=replace(task.fit, compile=False))
            forecaster, windows = self._fresh(plain, dataset, train_end)
            return trial_step(forecaster.to(device), windows, training_origins(task, train_end))

        return with_batch_size(task.fit, task.folder, device, len(devices), per_epoch, make_step)

    def predict(self, task: FitTask, asked: Origins, part: str) -> pd.DataFrame:
        torch.set_num_threads(task.fit.threads)
        device = choose_device(task.fit.device)
        multiply_exactly(device, True)
        forecaster = Forecaster.load(task.folder).to(device)
        dataset = WindowDataset(task.inputs, task.windows.scaling, device, with_target=False)
        with torch.inference_mode():
            return predicted(forecaster, dataset, asked)

    def parameters(self, task: FitTask) -> int | None:
        forecaster = Forecaster.load(task.folder)
        return sum(parameter.numel() for parameter in forecaster.parameters())

    def interpretation(self, task: FitTask) -> Interpretation | None:
        """Over windows that a fold's model is validated on; a refit is validated on nothing."""
        if NETWORKS.get(self.network).interpret is Network.interpret or task.fold.index < 0:
            return None
        torch.set_num_threads(task.fit.threads)
        device = choose_device(task.fit.device)
        network = Forecaster.load(task.folder).to(device).network
        dataset = WindowDataset(task.inputs, task.windows.scaling, device, with_target=False)
        asked = task.fold.asked
        spread = np.unique(np.linspace(0, len(asked.row) - 1, WINDOWS_INTERPRETED).astype(np.int64))
        looked = Looked()
        with torch.inference_mode():
            pairs = Origins(asked.series[spread], asked.row[spread])
            for some in batches_of(pairs, WINDOWS_INTERPRETED_AT_ONCE):
                network.interpret(dataset[some], looked)
        return looked.means()


def _inner_part(task: FitTask) -> tuple[np.ndarray, Origins | None]:
    """Where training ends when an inner slice of the training part is watched, and that slice.

    Sequence tasks: a share of the training groups. Horizon tasks: the last horizon of each series. No slice
    where nothing would be left to fit on, or nothing is long enough to be watched.
    """
    train_end = task.fold.train_end
    # A refit is there to learn from the newest rows, so plateau follows its training loss. With early
    # stopping it has a slice all the same: where that is on, no fold has said for how long to train.
    plateau = task.fit.schedule == "plateau" and task.fold.index >= 0
    if not (task.fit.early_stopping or plateau):
        return train_end, None
    begin = task.inputs.offsets[:-1]
    series = np.flatnonzero(train_end > begin)
    shortened = train_end.copy()
    if task.competition.task == "sequence":
        count = min(max(1, round(task.fit.inner_share * len(series))), len(series) - 1)
        if count == 0:
            return train_end, None
        inner = np.sort(np.random.default_rng([task.seed, 3]).permutation(series)[:count])
        shortened[inner] = begin[inner]
        return shortened, Origins(inner, begin[inner])
    origin = train_end[series] - task.inputs.schema.horizon
    enough = origin - begin[series] > max(1, task.windows.min_context)
    if not enough.any():
        return train_end, None
    inner, origin = series[enough], origin[enough]
    shortened[inner] = origin
    return shortened, Origins(inner, origin)
