"""Settings of a fit. A module of its own, so that the command line reads it without importing torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from data.errors import InputError


@dataclass
class Fit:
    """How members are fitted; every key is part of an artefact's key."""

    max_epochs: int = 10
    batch_size: int | str = 128  # windows, of all devices together; auto: what the device's memory holds
    learning_rate: float = 2e-3
    learning_rate_scaling: str = "auto"  # of batch_size=auto: sqrt (auto), linear (auto for sgd), none
    weight_decay: float = 0.01
    optimizer: str = "adamw"  # adamw, adam, sgd, rmsprop
    schedule: str = "one_cycle"  # one_cycle, cosine, plateau, constant
    warmup: float = 0.1  # share of the steps, in which the learning rate rises, whatever the schedule
    clip: float = 1.0  # largest gradient norm; 0: off
    averaging: str = "none"  # none, ema (of weights), swa
    averaging_decay: float = 0.99
    head: str = "auto"  # auto: the network's own, else quantile if quantiles are asked for, else point
    head_settings: dict[str, Any] = field(default_factory=dict)  # of that head: {count: 950}
    loss: str = "auto"  # auto: what the metric hints at; else a loss by name
    auxiliary_differences: int = 0  # 1 to 4: y[t] - y[t - 1], ..., y[t - 4] are learnt beside y
    auxiliary_weight: float = 1.0  # of their mean error beside the loss
    unjudged_weight: float = 0.0  # in the loss, of rows with a known target that are not judged
    mixup: float = 0.0  # Beta(mixup, mixup) mixes windows with others of the batch; 0: off
    mixup_share: float = 1.0  # of the windows that are mixed
    mask_covariates: float = 0.0  # chance that a window lacks a known column, or its static metadata
    early_stopping: bool = False  # on an inner slice of the training part, never on validation rows
    patience: int = 5  # epochs without a lower loss: early stopping ends; at half of them plateau slows down
    inner_share: float = 0.1
    memory: bool = True  # how far back a network uses the data: measured on the first fold, in seconds
    seeds: int = 1  # fits of every member and fold with seed, seed + 1, ...
    folds: list[int] | None = None  # null: all
    refit: str = "auto"  # none; all: fit on everything for the submission; auto: all in horizon tasks
    refit_epochs: str = "folds"  # of a refit, with early stopping: folds: as many as theirs found best; own
    threads: int = 1  # of one fit; part of the key since sums depend on it
    precision: str = "auto"  # auto: bf16 on GPUs that have it, else 32; 32, bf16
    compile: bool = False  # torch.compile
    device: str = "auto"  # auto, cpu, cuda, cuda:1
    devices: int = 1  # of one fit: processes that share each batch out (on the CPU too)
    strategy: str = "auto"  # auto: ddp if devices > 1; ddp, none
    deterministic: bool = True


def windows_a_batch(fit: Fit) -> int:
    """fit.batch_size, for who needs a number. Raises InputError where it is `auto`."""
    if isinstance(fit.batch_size, str):
        raise InputError(f"fit.batch_size: found {fit.batch_size!r}, expected a whole number for this member")
    return fit.batch_size


def with_own(fit: Fit, own: Mapping[str, Any] | None) -> Fit:
    """`fit` with what a member has of its own (member.<name>.fit) above it.

    A head of its own does not take over the settings of the run's head.
    """
    changes = dict(own or {})
    if "head" in changes:
        changes = {"head_settings": {}, **changes}
    return replace(fit, **changes)
