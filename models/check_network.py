"""Whether a network can be made with its settings, before any data is read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import torch

from data.competition import Competition
from data.configure import make_settings
from data.errors import InputError, UnfitForData
from data.schema import InputSchema, Role
from models.network import Network

#: Rows that are asked at once where only the files can tell how many.
ROWS = 48


def check_network(
    network: type[Network],
    settings: Mapping[str, Any],
    competition: Competition,
    context: int | None,
    prefix: str,
) -> None:
    """InputError for settings that `network` refuses when it is made, whatever the columns are.

    It is made once, of made-up columns, and thrown away. What hangs on the real ones (a column by its name, a
    season that the context must hold) is left to the fit. context: of windows.context; prefix: the key of the
    settings, member.<name>.
    """
    if competition.task not in network.tasks:
        return  # it will not run
    config = make_settings(network.Config, settings, prefix)
    try:
        _make(network, made_up_schema(competition, context), config)
    except UnfitForData:
        return
    except InputError as error:
        # Components begin with the setting's name, with their own before it or not: heads, es_rnn.periods.
        names = [field.name for field in fields(network.Config)]
        parts = re.fullmatch(r"(?:\w+\.)?((\w+).*)", str(error))
        if parts is not None and parts[2] in names:
            raise InputError(f"{prefix}.{parts[1]}") from error
        raise InputError(f"{prefix}: {error}") from error


def _make(network: type[Network], schema: InputSchema, config: Any) -> None:
    try:
        with torch.device("meta"):  # no memory and no random numbers, however large it is
            network(schema, config)
    except (NotImplementedError, RuntimeError):  # it looks at numbers that it has drawn: then with numbers
        with torch.random.fork_rng(devices=[]):
            network(schema, config)


def made_up_schema(competition: Competition, context: int | None) -> InputSchema:
    """One column of each kind, with the competition's targets and lengths as far as they are known."""
    real = ["known"]
    role: list[Role] = ["known"]
    horizon, before = competition.horizon or ROWS, 0
    if competition.task == "horizon":
        given = context if context is not None else competition.context
        before = 2 * horizon if given is None else max(1, given)
        real += ["past", *(f"past.{name}" for name in competition.target), "available.0"]
        role += ["past", *(["past_target"] * len(competition.target)), "indicator"]  # type: ignore[list-item]
    return InputSchema(
        real=tuple(real),
        real_role=tuple(role),
        category=("category",),
        category_size=(3,),
        static_real=("static",),
        static_category=("static_category",),
        static_category_size=(3,),
        target=tuple(competition.target),
        context=before,
        horizon=horizon,
        series=2,
        seasonality=tuple(competition.seasonality),
        quantile=tuple(competition.quantiles),
        target_transform=competition.target_transform,
    )
