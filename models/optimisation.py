"""Optimisers, learning-rate schedules, parameter groups and weight averaging, by the names in `fit`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, WeightAveraging
from lightning.pytorch.utilities.types import LRSchedulerConfigType
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop
from torch.optim.lr_scheduler import LambdaLR, LinearLR, ReduceLROnPlateau
from torch.optim.swa_utils import get_ema_multi_avg_fn

from data.configure import one_of
from models.settings import Fit

OPTIMIZERS = ("adamw", "adam", "sgd", "rmsprop")
SCHEDULES = ("one_cycle", "cosine", "plateau", "constant")
AVERAGINGS = ("none", "ema", "swa")
PRECISIONS = ("auto", "32", "bf16")
EXACT = "32-true"  # what Lightning calls 32 bits throughout

#: One-cycle starts at learning_rate / 25 and ends at a ten-thousandth of that (torch's OneCycleLR).
START_FACTOR = 25.0
FINAL_FACTOR = 1e4

PLATEAU_FACTOR = 0.6  # of the learning rate, where the loss has stopped to fall

#: SWA averages the weights at the end of each epoch over the last quarter of the training.
SWA_START = 0.75


#: How the name of a parameter begins that does not decay, of however many dimensions it is: layers that are
#: several side by side keep all their biases and gains in one matrix.
SPARED_NAMES = ("bias", "norm", "position")


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Two groups: weights that decay; and biases, norms, embeddings and lone vectors, which do not.

    Learnt positions are embeddings. By SPARED_NAMES a plugin's network says which of its matrices are spared.
    """
    lookup = {id(child.weight) for child in module.modules() if isinstance(child, nn.Embedding)}
    decayed: list[nn.Parameter] = []
    spared: list[nn.Parameter] = []
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        # original0 is the magnitude of a weight-normalised convolution: a gain, like that of a norm.
        gain = name.endswith("weight.original0")
        named = name.rpartition(".")[2].startswith(SPARED_NAMES)
        kept = parameter.dim() < 2 or gain or named or id(parameter) in lookup
        (spared if kept else decayed).append(parameter)
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": spared, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def make_optimizer(module: nn.Module, fit: Fit) -> Optimizer:
    """The optimiser that `fit.optimizer` names. Adam's are fused: one kernel for all parameters."""
    one_of(fit.optimizer, OPTIMIZERS, "optimizer", "fit.optimizer")
    groups = parameter_groups(module, fit.weight_decay)
    if fit.optimizer == "adamw":
        return AdamW(groups, lr=fit.learning_rate, fused=True)
    if fit.optimizer == "adam":
        return Adam(groups, lr=fit.learning_rate, fused=True)
    if fit.optimizer == "sgd":
        return SGD(groups, lr=fit.learning_rate, momentum=0.9, nesterov=True)
    return RMSprop(groups, lr=fit.learning_rate)


def learning_rate_factor(schedule: str, step: int, steps: int, warmup: float) -> float:
    """What the learning rate is multiplied by at step `step` of `steps`; `warmup` is a share of the steps.

    one_cycle  cosine from 1/25 up to 1 over the warm-up, cosine down to 4e-6 (Smith and Topin 2019; as
               torch's OneCycleLR, but defined for runs of a few steps too)
    cosine     linear up to 1, cosine down to 0
    constant   linear up to 1
    """
    rising = round(warmup * steps)
    if schedule == "one_cycle":
        top = max(rising - 1, 0)
        if step < top:
            return _cosine(1.0 / START_FACTOR, 1.0, step / top)
        return _cosine(1.0, 1.0 / (START_FACTOR * FINAL_FACTOR), (step - top) / max(steps - 1 - top, 1))
    if step < rising:
        return (step + 1) / rising
    if schedule == "cosine":
        return _cosine(1.0, 0.0, (step - rising) / max(steps - rising, 1))
    return 1.0


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1.0 + math.cos(math.pi * min(share, 1.0))) / 2.0


def make_schedules(optimizer: Optimizer, fit: Fit, steps: int, monitor: str) -> list[LRSchedulerConfigType]:
    """The schedule that `fit.schedule` names, as Lightning takes it; plateau is two, a warm-up and the falls.

    steps: of the whole fit. monitor: the loss that plateau looks at.
    """
    one_of(fit.schedule, SCHEDULES, "schedule", "fit.schedule")
    if fit.schedule == "plateau":
        plateau = ReduceLROnPlateau(optimizer, factor=PLATEAU_FACTOR, patience=plateau_patience(fit.patience))
        followed = LRSchedulerConfigType(scheduler=plateau, interval="epoch", monitor=monitor)  # type: ignore[typeddict-item]
        return [*_rising(optimizer, round(fit.warmup * steps)), followed]

    def factor(step: int) -> float:
        return learning_rate_factor(fit.schedule, step, steps, fit.warmup)

    return [LRSchedulerConfigType(scheduler=LambdaLR(optimizer, factor), interval="step")]  # type: ignore[typeddict-item]


def plateau_patience(patience: int) -> int:
    """Epochs without a lower loss that plateau bears: the rate falls at the next, the `patience // 2`-th.

    So it falls before early stopping ends the fit for want of a lower loss at the `patience`-th, from 2 on.
    It is the same without early stopping: refits go without it for as long as folds found best with it, and
    should come by the same rates.
    """
    return max(0, patience // 2 - 1)


def _rising(optimizer: Optimizer, steps: int) -> list[LRSchedulerConfigType]:
    """A linear warm-up over `steps`, as that of `constant`; none where there is nothing to rise over."""
    if steps < 2:
        return []
    # It changes the rate as it finds it, so that plateau's falls stay; a LambdaLR would take them back.
    rising = LinearLR(optimizer, start_factor=1.0 / steps, total_iters=steps - 1)
    return [LRSchedulerConfigType(scheduler=rising, interval="step")]  # type: ignore[typeddict-item]


class Averaging(WeightAveraging):
    """Weights averaged over steps (ema) or over the last epochs (swa); they replace the model's at the end.

    Until the first average is taken the model's own weights count, in validation and at the end.
    """

    def __init__(self, kind: str, decay: float, max_epochs: int) -> None:
        if kind == "ema":
            super().__init__(use_buffers=False, multi_avg_fn=get_ema_multi_avg_fn(decay))
        else:
            super().__init__(use_buffers=False)
        self._every_step = kind == "ema"
        self._first_epoch = min(int(SWA_START * max_epochs), max_epochs - 1)
        self._due = False

    def on_train_batch_end(self, trainer: Any, *rest: Any) -> None:
        # An epoch's average is taken with its last step, so that it is in whatever is saved after that.
        late = trainer.is_last_batch and trainer.current_epoch >= self._first_epoch
        self._due = self._every_step or late
        super().on_train_batch_end(trainer, *rest)

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        return step_idx is not None and self._due

    def on_validation_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        if self._taken():
            super().on_validation_epoch_start(trainer, pl_module)

    def on_validation_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        if self._taken():
            super().on_validation_epoch_end(trainer, pl_module)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        if self._taken():
            super().on_train_end(trainer, pl_module)

    def _taken(self) -> bool:
        return self._average_model is not None and int(self._average_model.n_averaged) > 0


@contextmanager
def averaged(trainer: Trainer, module: LightningModule) -> Iterator[None]:
    """Within it `module` has the weights that training would leave: averaged if `fit.averaging` says so."""
    averages = [one for one in trainer.callbacks if isinstance(one, Averaging)]  # type: ignore[attr-defined]
    for average in averages:
        average.on_validation_epoch_start(trainer, module)
    try:
        yield
    finally:
        for average in averages:
            average.on_validation_epoch_end(trainer, module)


def averaging_callbacks(fit: Fit) -> list[Callback]:
    """The callback that `fit.averaging` asks for, or none."""
    one_of(fit.averaging, AVERAGINGS, "averaging", "fit.averaging")
    if fit.averaging == "none":
        return []
    return [Averaging(fit.averaging, fit.averaging_decay, fit.max_epochs)]


def lightning_precision(precision: str, device: torch.device | str) -> Any:
    """`Trainer(precision=...)` for `fit.precision`: auto is bf16 on a GPU that has it, else 32 bits."""
    one_of(precision, PRECISIONS, "precision", "fit.precision")
    on_gpu = torch.device(device).type == "cuda"
    if precision == "bf16" or (precision == "auto" and on_gpu and torch.cuda.is_bf16_supported()):
        return "bf16-mixed"
    return EXACT
