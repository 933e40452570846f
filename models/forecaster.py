"""The one LightningModule: a network, what its outputs mean, a loss, and how they are fitted.

Stored as weights (safetensors) and JSON, never as pickled classes, so that later versions can read it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import lightning
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.optim.lr_scheduler import ReduceLROnPlateau

from data.batch import SequenceBatch
from data.configure import make_settings
from data.errors import InputError
from data.schema import InputSchema
from models.augment import augmented
from models.auxiliary import difference_loss
from models.epoch_loss import EpochLoss
from models.heads import Head, TrainingTargets, choose_head, head_name, refuse_mixup
from models.losses import LOSSES, Loss, choose_loss
from models.network import NETWORKS, Network
from models.optimisation import averaging_callbacks, make_optimizer, make_schedules
from models.settings import Fit
from models.share import Share
from models.units import Units

#: Of the folder that `save` writes; a reader refuses what is newer than itself.
FORMAT = 1

#: On a GPU a look at the loss waits for the device, so it is taken every so many steps.
STEPS_BETWEEN_CHECKS = 50


class TrainingDiverged(RuntimeError):
    """The loss became NaN or infinite; a lower fit.learning_rate or fit.clip may mend it."""


class Forecast(NamedTuple):
    """Predictions of a batch of windows, original units."""

    row_id: Tensor  # (B, L) int64, -1 where not asked
    value: Tensor  # (B, L, K, 1 + Q): the point forecast, then the schema's quantiles


class Forecaster(lightning.LightningModule):
    """Lightning's hooks around plain modules; `fit` may be None where nothing is fitted."""

    def __init__(
        self,
        name: str,
        network: Network,
        head: Head,
        loss: Loss,
        fit: Fit | None = None,
        auxiliary: int = 0,
    ) -> None:
        """auxiliary: outputs of a target, behind the head's, that are differences (models/auxiliary.py)."""
        super().__init__()
        self.name = name  # of the network, as registered
        self.network = network
        self.head = head
        self.loss = loss
        self.fit = fit
        self.auxiliary = auxiliary
        self.share = Share()  # of each training batch that this process works on
        network.read_by(head)
        self._finite: Tensor | None = None  # () bool: every loss since the last check was
        self._train_loss, self._inner_loss = EpochLoss(), EpochLoss()
        if fit is not None and fit.compile:
            self.network.compile()  # in place: names in the state dict stay as they are

    def forward(self, batch: SequenceBatch) -> Tensor:
        """(B, L, K, .) parameters of the forecast, as the head gives them."""
        return self._read(self.network(batch), batch)[0]

    def _read(self, output: Tensor, batch: SequenceBatch) -> tuple[Tensor, Tensor | None]:
        """(B, L, K, .) parameters of the forecast; and (B, L, K, A) auxiliary outputs, if there are any."""
        schema, extra = self.network.schema, None
        output = output.float()  # whatever the network counted in, heads and losses count in 32 bits
        if self.auxiliary:
            each = output.unflatten(-1, (schema.targets, -1))
            output, extra = each[..., : self.head.outputs].flatten(-2), each[..., self.head.outputs :]
        parameters: Tensor = self.head(output, Units.of(batch, schema))
        return parameters, extra

    def forecast(self, batch: SequenceBatch) -> Forecast:
        """Predictions in original units; the batch's target is not looked at."""
        batch = batch._replace(target=None)
        futures = self.network.sample(batch)
        scaled = self.head.forecast(self(batch)) if futures is None else self.head.summarise(futures)
        return Forecast(batch.row_id, Units.of(batch, self.network.schema).original(scaled))

    def training_step(self, batch: SequenceBatch, batch_index: int) -> Tensor:
        batch = self._augmented(batch)
        loss = self._loss(batch, self._fit_settings().auxiliary_weight)
        self._train_loss.add(loss, batch.weight)
        return loss

    def training_loss(self, batch: SequenceBatch) -> Tensor:
        """() what is minimised, of a batch as it is drawn."""
        return self._loss(self._augmented(batch), self._fit_settings().auxiliary_weight)

    def _augmented(self, batch: SequenceBatch) -> SequenceBatch:
        with self.share.common_draws():
            return augmented(batch, self.network.schema, self._fit_settings())

    def validation_step(self, batch: SequenceBatch, batch_index: int) -> None:
        """On an inner slice of the training part, for early stopping and plateau."""
        self._inner_loss.add(self._loss(batch), batch.weight)

    def on_validation_epoch_end(self) -> None:
        self._log("inner_loss", self._inner_loss)

    def _loss(self, batch: SequenceBatch, auxiliary_weight: float = 0.0) -> Tensor:
        """() loss of this process's windows; its mean over the processes is the loss of the batch."""
        part = self.share.of(batch)
        parameters, differences = self._read(self.network.taught(part), part)
        every = None if self.share.alone else batch.weight
        loss: Tensor = self.loss(parameters, part, every)
        if differences is not None and auxiliary_weight:
            loss = loss + auxiliary_weight * difference_loss(differences, part, every)
        # Losses of the parts add up; what processes do to gradients is take their mean.
        return loss if self.share.alone else loss * self.share.count

    def _log(self, name: str, loss: EpochLoss) -> None:
        self.log(name, loss.taken(), prog_bar=True, sync_dist=not self.share.alone)

    def on_before_backward(self, loss: Tensor) -> None:
        """Look whether the loss is finite: outside of the step, since a GPU has to be waited for."""
        finite = torch.isfinite(loss.detach())
        self._finite = finite if self._finite is None else self._finite & finite
        if not loss.is_cuda or self.global_step % STEPS_BETWEEN_CHECKS == STEPS_BETWEEN_CHECKS - 1:
            self._raise_if_diverged()

    def predict_step(self, batch: SequenceBatch, batch_index: int) -> Forecast:
        return self.forecast(batch)

    def on_train_epoch_start(self) -> None:
        self._finite = None

    def on_train_epoch_end(self) -> None:
        self._raise_if_diverged()
        self._log("train_loss", self._train_loss)
        # Lightning would step it after the epoch's checkpoint is written, and a resumed fit would miss that.
        for schedule in (config.scheduler for config in self.trainer.lr_scheduler_configs):
            if isinstance(schedule, ReduceLROnPlateau):
                schedule.step(float(self.trainer.callback_metrics[self._watched()]))

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        if not isinstance(scheduler, ReduceLROnPlateau):
            scheduler.step()

    def configure_optimizers(self) -> Any:
        fit = self._fit_settings()
        optimizer = make_optimizer(self, fit)
        steps = int(self.trainer.estimated_stepping_batches)
        return [optimizer], make_schedules(optimizer, fit, steps, self._watched())

    def configure_gradient_clipping(
        self,
        optimizer: Any,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        clip = self._fit_settings().clip
        if clip > 0:
            # Not Lightning's own: that refuses fused optimisers in bf16, where nothing has to be unscaled.
            torch.nn.utils.clip_grad_norm_(self.parameters(), clip)

    def configure_callbacks(self) -> list[Callback]:
        return [] if self.fit is None else averaging_callbacks(self.fit)

    def _fit_settings(self) -> Fit:
        assert self.fit is not None, "a forecaster made without `fit` only predicts"
        return self.fit

    def _watched(self) -> str:
        """The loss that plateau looks at: on the inner slice if there is one."""
        return "inner_loss" if self.trainer.enable_validation else "train_loss"

    def _raise_if_diverged(self) -> None:
        if self._finite is not None and not bool(self._finite):
            raise TrainingDiverged(
                f"{self.name}: the loss is not finite at epoch {self.current_epoch}, step {self.global_step}"
            )

    def save(self, folder: Path) -> None:
        """Write weights.safetensors and config.json into `folder`; each is written aside and renamed."""
        folder.mkdir(parents=True, exist_ok=True)
        weights = {name: value.detach().cpu().contiguous() for name, value in self.state_dict().items()}
        _write(folder / "weights.safetensors", lambda file: save_file(weights, file))
        content = {
            "format": FORMAT,
            "versions": {"torch": torch.__version__, "lightning": lightning.__version__},
            "network": self.name,
            "config": asdict(self.network.config),
            "outputs": self.network.outputs,
            "head": head_name(self.head),
            "head_settings": asdict(self.head.config),
            "auxiliary_differences": self.auxiliary,
            "loss": next(name for name, kind in LOSSES.items() if kind is type(self.loss)),
            "schema": self.network.schema.to_json(),
        }
        text = json.dumps(content, indent=2)
        _write(folder / "config.json", lambda file: file.write_text(text))

    @classmethod
    def load(cls, folder: Path, fit: Fit | None = None) -> Forecaster:
        """The forecaster that `save` wrote, in evaluation mode. Raises InputError for a broken folder."""
        file = folder / "config.json"
        try:
            content = json.loads(file.read_text())
        except (OSError, ValueError) as error:
            raise InputError(f"{file}: cannot be read: {error}") from error
        if content["format"] > FORMAT:
            raise InputError(
                f"{file}: format {content['format']} is of a later version than this one ({FORMAT})"
            )
        schema = InputSchema.from_json(content["schema"])
        forecaster = make_forecaster(
            content["network"],
            content["config"],
            schema,
            fit,
            content["head"],
            content["loss"],
            head_settings=content.get("head_settings"),
            auxiliary=content.get("auxiliary_differences", 0),
        )
        weights_file = folder / "weights.safetensors"
        try:
            forecaster.load_state_dict(load_file(weights_file))
        except (OSError, SafetensorError, RuntimeError) as error:
            raise InputError(f"{weights_file}: cannot be read: {error}") from error
        return forecaster.eval()


def make_forecaster(
    name: str,
    settings: Mapping[str, Any] | None,
    schema: InputSchema,
    fit: Fit | None = None,
    head: str = "auto",
    loss: str = "auto",
    hint: str = "l1",
    head_settings: Mapping[str, Any] | None = None,
    targets: TrainingTargets | None = None,
    auxiliary: int = 0,
) -> Forecaster:
    """The network called `name` with its settings, its head and its loss, freshly initialised.

    hint: the loss that the metric suggests, for loss=auto. targets: of the rows that it will be fitted on,
    for heads that ask them. auxiliary: differences learnt beside the target. Raises InputError for what does
    not fit.
    """
    kind = NETWORKS.get(name, "member")
    config = make_settings(kind.Config, settings, f"member.{name}")
    task = "sequence" if schema.context == 0 else "horizon"
    if task not in kind.tasks:
        raise InputError(f"member.{name}: made for {' and '.join(kind.tasks)} tasks, this is a {task} task")
    chosen = choose_head(head, schema, head_settings, kind.default_head, hint, targets)
    if fit is not None:
        refuse_mixup(type(chosen), fit.mixup)
    network = kind(schema, config, chosen.outputs + auxiliary)
    return Forecaster(name, network, chosen, choose_loss(loss, chosen, hint), fit, auxiliary)


def early_stopping(patience: int) -> EarlyStopping:
    """Stops when the loss on the inner slice has not fallen for `patience` epochs."""
    return EarlyStopping("inner_loss", patience=patience, mode="min", check_finite=False)


def _write(file: Path, write: Callable[[Path], Any]) -> None:
    aside = file.with_name(f"{file.name}.part")
    write(aside)
    os.replace(aside, file)
