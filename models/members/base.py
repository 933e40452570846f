"""What a member is: it fits one fold's training part and predicts asked origins.

A member keeps all that it learnt in its folder, so that a fit can be killed, taken up again, and used
later for prediction without fitting.
"""

from __future__ import annotations

import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd

from data.competition import Competition
from data.errors import InputError, OutOfTime
from data.folds import Fold, Origins
from data.inputs import Inputs
from data.panel import Panel
from data.registry import Registry
from data.settings import Windows
from models.interpretation import Interpretation
from models.settings import Fit

MEMBERS: Registry[type[Member]] = Registry("member", "models.members")


__all__ = ["MEMBERS", "FitTask", "Member", "OutOfTime", "check_installed"]


@dataclass(frozen=True)
class FitTask:
    """One fit: all that a member may look at.

    Targets from `fold.train_end` on are in `panel` and `inputs` too (they are other folds' training rows, or
    what is scored); a member fits on rows before `fold.train_end` only. `inputs` hold no test truth at all.
    """

    competition: Competition
    panel: Panel
    inputs: Inputs
    fold: Fold
    windows: Windows
    fit: Fit
    seed: int
    folder: Path  # write here; found again as it was after a kill
    loss: str  # name of the training loss that suits the metric, for fit.loss=auto
    scale_free: bool = False  # the metric judges every series by its own size
    progress: Callable[[float, str], None] = lambda share, text: None
    deadline: float | None = None  # time.monotonic(); raise OutOfTime when it has passed
    # called by members that report epochs with the number of those done, and with what predicts windows by
    # the weights as they are; may raise to give the fit up
    epoch_ended: Callable[[int, Callable[[Origins], pd.DataFrame]], None] | None = None


class Member(ABC):
    """One kind of member with its settings (a nested frozen dataclass `Config`)."""

    @dataclass(frozen=True)
    class Config:
        """Settings with their defaults; the fields are the keys at member.<name>."""

    version: ClassVar[int] = 1  # part of the artefact key: raise it when the predictions change
    cost: ClassVar[int] = 5  # 0 (instant) to 9: the order in which a budget is spent
    tasks: ClassVar[tuple[str, ...]] = ("sequence", "horizon")
    uses_features: ClassVar[bool] = True  # False: reads raw targets only, so features need not be made
    reports_epochs: ClassVar[bool] = False  # a fit is a row of epochs, and tells of each when it has ended
    predicts_quantiles: ClassVar[bool] = False  # it is told the competition's; its result depends on them
    needs: ClassVar[tuple[str, str] | None] = None  # (module, our extra that installs it), imported when used
    every_seed: ClassVar[bool] = True  # False: the seed changes nothing, so one fit is enough
    # Settings of `fit` and `windows` that the result depends on, None: all. It sees the rest at their
    # defaults, and is not fitted again when they change. Who does not read fit's `loss` is not told the
    # metric's either.
    reads_fit: ClassVar[tuple[str, ...] | None] = None
    reads_windows: ClassVar[tuple[str, ...] | None] = None

    def __init__(self, config: Any) -> None:
        self.config = config

    def check(self, competition: Competition, place: str) -> None:
        """InputError for settings without meaning, or none for this competition; before any data is read.

        place: what stands before a setting's name in the line, as member.lightgbm.
        """
        return  # a member that can do with all that its settings' ranges allow

    def points_only(self) -> str:
        """Why it gives no quantiles with these settings; "" if it gives them."""
        return "" if self.predicts_quantiles else "it predicts points only"

    @abstractmethod
    def fit(self, task: FitTask) -> None:
        """Learn from the rows before `task.fold.train_end`; write what was learnt into `task.folder`."""

    @abstractmethod
    def predict(self, task: FitTask, asked: Origins, part: str) -> pd.DataFrame:
        """Predictions of every asked row of the windows at `asked` (see data.predictions), original units.

        `part` is oof, local or test, for members that look their predictions up. Reads what `fit` wrote.
        Rows of a window are asked from its origin on, where a file has them.
        """

    def parameters(self, task: FitTask) -> int | None:
        """Number of fitted parameters, if that says anything."""
        return None

    def interpretation(self, task: FitTask) -> Interpretation | None:
        """What the fitted model looks at, for the report; None where it cannot tell."""
        return None

    @classmethod
    def files(cls, settings: Mapping[str, Any]) -> tuple[str, ...]:
        """Files besides the competition's that it reads with these settings; their content is in the key."""
        return ()

    @classmethod
    def small(cls) -> Any:
        """A Config small enough for tests."""
        return cls.Config()

    @classmethod
    def search(cls, trial: Any) -> dict[str, Any]:
        """Settings drawn from an Optuna trial."""
        return {}


def check_installed(member: type[Member], name: str) -> None:
    """InputError where the optional package behind a member is missing; nothing is imported."""
    if member.needs is None:
        return
    module, extra = member.needs
    if importlib.util.find_spec(module) is None:
        raise InputError(
            f'member {name}: {module} is not installed; pip install "forecast-workbench[{extra}]"'
        )
