"""Pseudo-labels: test groups join the training part, with other members' forecasts as their targets.

Lee 2013, "Pseudo-Label: The Simple and Efficient Semi-Supervised Learning Method for Deep Neural Networks". A
member of its own, so that it is compared and blended like any other:

    member:
      bilstm_pseudo: {kind: bilstm, pseudo_labels: {of: [lightgbm, bilstm], weight: 0.5}}

**What keeps it honest.** The labels of a fold's fit are forecasts by that very fold's fits of the other
members. They never saw the fold's validation rows, nor the local hold-out, so no truth comes round by the
labels; and the test rows' own truth is nowhere. Scaling and encodings stay those of the fold's training rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from models.members.base import FitTask
    from pipeline.config import Config
    from pipeline.stages.prepare import Prepared

GROUP = "pseudo_labels"  # below member.<name>


@dataclass
class PseudoLabels:
    """member.<name>.pseudo_labels"""

    of: list[str] = field(default_factory=list)  # members of the run whose mean forecast is the label
    weight: float = 0.5  # of a labelled test row in the loss; a training row has 1


def teachers(config: Config, given: Mapping[str, Any], folder: str, part: str) -> dict[str, list[str]]:
    """Teacher: its fits of that part, one a seed. folder: train/<size>."""
    from models.members.catalogue import member_class
    from models.settings import with_own

    found = {}
    for name in sorted(given["of"]):
        settings = config.member[name]
        fit = with_own(config.fit, settings.get("fit"))
        seeds = fit.seeds if member_class(str(settings["kind"])).every_seed else 1
        found[name] = [
            f"{folder}/{name}/seed{seed}/{part}" for seed in range(config.seed, config.seed + seeds)
        ]
    return found


def with_pseudo_labels(
    task: FitTask,
    prepared: Prepared,
    fits: Mapping[str, Sequence[str]],
    weight: float,
    folders: Mapping[str, Path],
) -> FitTask:
    """`task` with the test groups in its training part. fits: as `teachers` gives them; folders: by path."""
    from data.scaling import forward_transform
    from data.scoring import asked_of
    from pipeline.member_predictions import averaged

    panel, test, inputs = prepared.panel, prepared.split.test, task.inputs
    asked = asked_of(panel, [(test.index, test.asked)], prepared.horizon)
    label = np.mean([averaged(paths, "test", asked, folders, name) for name, paths in fits.items()], axis=0)
    transformed = forward_transform(task.competition.target_transform, label)
    known = np.isfinite(transformed).all(axis=1)
    rows, series = asked.row_id[known], np.unique(asked.series)
    assert panel.test[rows].all(), "a label would take the place of a truth"
    target, observed, counted = inputs.target.copy(), inputs.observed.copy(), inputs.weight.copy()
    target[rows], observed[rows] = transformed[known], True
    counted[rows] *= weight
    train_end = task.fold.train_end.copy()
    train_end[series] = panel.offsets[series + 1]
    return replace(
        task,
        inputs=replace(inputs, target=target, observed=observed, weight=counted),
        fold=replace(task.fold, train_end=train_end),
    )
