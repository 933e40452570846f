"""Random batches and their schemas, for tests of whatever reads a SequenceBatch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from data.batch import SequenceBatch
from data.schema import InputSchema, Role

TASKS = ("sequence", "horizon")


def make_schema(
    task: str = "horizon",
    context: int = 9,
    horizon: int = 5,
    known: int = 2,
    categories: tuple[int, ...] = (4, 3),
    static_real: int = 2,
    static_categories: tuple[int, ...] = (5, 3),
    targets: int = 1,
    quantile: tuple[float, ...] = (),
    seasonality: tuple[int, ...] = (3,),
    target_transform: str = "none",
) -> InputSchema:
    """In sequence tasks a window has context + horizon rows too, all of them asked."""
    real = [f"known_{index}" for index in range(known)]
    role: list[Role] = ["known"] * known
    target = tuple(f"target_{index}" for index in range(targets))
    if task == "horizon":
        real += ["past_only", *(f"past.{name}" for name in target), "available.0"]
        role += ["past", *(["past_target"] * targets), "indicator"]
    return InputSchema(
        real=tuple(real),
        real_role=tuple(role),
        category=tuple(f"category_{index}" for index in range(len(categories))),
        category_size=categories,
        static_real=tuple(f"static_{index}" for index in range(static_real)),
        static_category=tuple(f"static_category_{index}" for index in range(len(static_categories))),
        static_category_size=static_categories,
        target=target,
        context=context if task == "horizon" else 0,
        horizon=horizon if task == "horizon" else context + horizon,
        series=7,
        seasonality=seasonality,
        quantile=quantile,
        target_transform=target_transform,
    )


def make_batch(
    schema: InputSchema, windows: int = 4, seed: int = 0, even: bool = False, unjudged: float = 0.0
) -> SequenceBatch:
    """Windows of different lengths (the first is full), or all full if `even`.

    In horizon tasks a short window lacks rows of its history or of its horizon. Targets are noise. With
    `unjudged` that share of past rows is not counted; with 0 the batch does not say which rows are.
    """
    generator = torch.Generator().manual_seed(seed)

    def integers(low: int, high: int, *shape: int) -> Tensor:
        """Whole numbers from low to high - 1."""
        return torch.randint(low, high, shape, generator=generator)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    rows = schema.length
    origin = torch.full((windows,), schema.context)
    length = torch.full((windows,), rows)
    if not even and windows > 1:
        if schema.context:
            origin[1:] = integers(1, schema.context + 1, windows - 1)
        length[1:] = origin[1:] + integers(1, schema.horizon + 1, windows - 1)
    step = torch.arange(rows)
    used = step < length[:, None]
    past = step < origin[:, None]
    asked = used & ~past
    real = normal(windows, rows, len(schema.real))
    for column in schema.reals("past", "past_target", "indicator"):
        real[:, :, column] *= past
    code = [integers(0, size, windows, rows) for size in schema.category_size]
    static_code = [integers(0, size, windows) for size in schema.static_category_size]
    counted: Tensor | None = None
    if unjudged:
        beside = torch.Generator().manual_seed(seed)  # so that the rest of the batch stays what it is
        counted = past & (torch.rand(windows, rows, generator=beside) >= unjudged)
    return SequenceBatch(
        real=real * used[:, :, None],
        category=_stack(code, (windows, rows)) * used[:, :, None],
        static_real=normal(windows, len(schema.static_real)),
        static_category=_stack(static_code, (windows,)),
        series=integers(-1, schema.series, windows),
        time=(integers(0, 100, windows)[:, None] + step) * used,
        length=length,
        origin=origin,
        asked=asked,
        weight=torch.rand(windows, rows, generator=generator).add(0.1) * asked,
        row_id=torch.where(asked, torch.arange(windows)[:, None] * rows + step, -1),
        location=normal(windows, schema.targets),
        scale=torch.rand(windows, schema.targets, generator=generator) + 0.5,
        target=normal(windows, rows, schema.targets) * used[:, :, None],
        counted=counted,
    )


def with_other_unjudged(batch: SequenceBatch, schema: InputSchema, value: float = -30.0) -> SequenceBatch:
    """The same windows with another past target, around `value`, where a past row does not count."""
    columns, hidden = schema.reals("past_target"), batch.past() & ~batch.counted_past()
    assert hidden.any()
    noise = torch.randn(hidden.sum(), len(columns), generator=torch.Generator().manual_seed(7))
    past = batch.real[:, :, columns]
    past[hidden] = value + noise
    real = batch.real.clone()
    real[:, :, columns] = past
    return batch._replace(real=real)


def with_garbage(batch: SequenceBatch, seed: int = 1) -> SequenceBatch:
    """The same windows with other numbers (and NaN) in padding, another target where there is no weight."""
    generator = torch.Generator().manual_seed(seed)
    used = batch.used()
    noise = 1e3 * torch.randn(batch.real.shape, generator=generator)
    noise[:, -1] = torch.nan
    real = torch.where(used[:, :, None], batch.real, noise)
    category = torch.where(used[:, :, None], batch.category, batch.category.amax((0, 1)))
    target = batch.target
    if target is not None:
        noise = 1e3 * torch.randn(target.shape, generator=generator)
        target = torch.where(batch.weight[:, :, None] > 0, target, noise)
    return batch._replace(
        real=real,
        category=category,
        target=target,
        time=torch.where(used, batch.time, 10**6),
        counted=None if batch.counted is None else batch.counted | ~used,
    )


def perturb(module: nn.Module, seed: int = 0, spread: float = 0.1) -> nn.Module:
    """Move every parameter by N(0, spread), so that nothing that starts at zero hides a fault."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += spread * torch.randn(parameter.shape, generator=generator)
    return module


def _stack(columns: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    return torch.stack(columns, dim=-1) if columns else torch.zeros(*shape, 0, dtype=torch.int64)
