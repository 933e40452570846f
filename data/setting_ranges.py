"""Which numbers a component's settings may have, by the setting's name: `hidden` is 1 or more everywhere.

Components that a plugin brings are held to the same: a name means one thing. What hangs on a value beside it
(heads that must divide the width) a component refuses itself, when it is made.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

from data.errors import InputError

#: Smallest, largest, whether the smallest itself is allowed.
Limits = tuple[float, float, bool]

ANY: Limits = (-math.inf, math.inf, True)
FROM_0: Limits = (0, math.inf, True)
FROM_1: Limits = (1, math.inf, True)
ABOVE_0: Limits = (0, math.inf, False)
SHARE: Limits = (0, 1, True)
ABOVE_0_UP_TO_1: Limits = (0, 1, False)

#: By a setting's name. 0 is allowed too where it is a setting's default: there it has a meaning of its own.
RANGES_BY_NAME: dict[str, Limits] = {
    # sizes of layers
    "hidden": FROM_1,
    "layers": FROM_1,
    "width": FROM_1,
    "static_width": FROM_1,
    "channels": FROM_1,
    "kernel": FROM_1,
    "kernels": FROM_1,
    "levels": FROM_1,
    "stacks": FROM_1,
    "skip": FROM_1,
    "skip_channels": FROM_1,
    "filters": FROM_1,
    "units": FROM_1,
    "heads": FROM_1,
    "feedforward": FROM_1,
    "variable_width": FROM_0,
    "components": FROM_0,
    "convolutions": FROM_0,
    "max_rows": FROM_1,
    "patch": FROM_1,
    "stride": FROM_1,
    "recurrent_layers": FROM_1,
    "recurrent_blocks": FROM_1,
    "hidden_continuous": FROM_1,
    "static_hidden": FROM_1,
    "category_std": ABOVE_0,
    "dropout": SHARE,
    "input_dropout": SHARE,
    "head_dropout": SHARE,
    # rows and seasons
    "lags": FROM_1,
    "lookback": FROM_1,
    "paths": FROM_0,
    "period": FROM_1,
    "periods": FROM_1,
    "rows": FROM_1,
    "seasons": FROM_0,
    "tail": FROM_0,
    "largest_power": ABOVE_0_UP_TO_1,
    # smoothing and trees
    "floor": ABOVE_0,
    "series_rate": ABOVE_0,
    "rounds": FROM_1,
    "leaves": (2, math.inf, True),
    "least_rows": FROM_0,
    "least_weight": FROM_0,
    "learning_rate": ABOVE_0,
    "feature_fraction": ABOVE_0_UP_TO_1,
    "bagging_fraction": ABOVE_0_UP_TO_1,
    "l2": FROM_0,
}


def inside(value: float, smallest: float, largest: float, closed: bool) -> bool:
    """Whether a number is finite and within its limits."""
    if not math.isfinite(value):
        return False
    return (value >= smallest if closed else value > smallest) and value <= largest


def range_words(value: float, smallest: float, largest: float, closed: bool) -> str:
    """What is expected instead of `value`, as 'a whole number from 1 on'."""
    kind = "a whole number" if isinstance(value, int) else "a number"
    low = f"{smallest:g}"
    if math.isinf(smallest):
        return f"{kind} that is finite"
    if math.isinf(largest):
        return f"{kind} from {low} on" if closed else f"{kind} above {low}"
    return f"{kind} from {low} to {largest:g}" if closed else f"{kind} above {low} and up to {largest:g}"


def refuse_out_of_range(kind: type, values: Mapping[str, Any], place: Callable[[str], str]) -> None:
    """InputError for the first number among the settings `values` of the dataclass `kind` that cannot be.

    place: from a setting's name to what stands before it in the message, file and line included.
    """
    for field in dataclasses.fields(kind):
        limits = RANGES_BY_NAME.get(field.name, ANY)
        if field.default == 0 and limits == FROM_1:
            limits = FROM_0
        value = values.get(field.name)
        for number in value if isinstance(value, list | tuple) else [value]:
            if isinstance(number, bool) or not isinstance(number, int | float):
                continue
            if not inside(number, *limits):
                expected = range_words(number, *limits)
                raise InputError(f"{place(field.name)}: found {value!r}, expected {expected}")
