"""deepar: an autoregressive recurrent network whose forecast is a set of sampled futures.

Salinas, Flunkert, Gasthaus and Januschowski 2020, "DeepAR: Probabilistic forecasting with autoregressive
recurrent networks", International Journal of Forecasting 36 (section 3; arXiv 1704.04110). With the scaled
target z_t and the inputs x_t of row t,

    h_t     = LSTM(h_{t-1}, [x_t, z_{t-1}, z_{t-lag}, ...])            one network before and after the origin
    theta_t = W [h_t, x_t, z_{t-1}, z_{t-lag}, ...] + b                the head's outputs: p(z_t | theta_t)

Training maximises the likelihood of every asked row given the true rows before it (teacher forcing). For a
forecast a row is drawn from its distribution, read by the next one, and so on: a path. The point and the
quantiles are those of many paths, row by row; targets of a row are drawn independently of each other, given
the rows before.

Where it differs: windows are scaled by the house (`windows.scaling`) instead of by their mean; the initial
state comes from the static metadata; theta_t sees the row's inputs too (`skip`), and what of it is in the
target's units may be the change from a row or a season before (`add_last`); the loss counts asked rows only.
A row of the horizon whose target is not known or not judged never enters the training as it is: it is read
as the network's own draw, as it will be in a forecast.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from data.batch import SequenceBatch
from data.configure import one_of
from data.errors import InputError
from data.schema import InputSchema
from data.transfer import largest
from models.layers.autoregressive_inputs import AutoregressiveInputs
from models.layers.horizon_rows import from_origin, longest_horizon, to_rows
from models.layers.lagged_values import last_known
from models.layers.naive import KINDS
from models.layers.past_of_windows import Past
from models.layers.window_generators import window_generators
from models.mixers.base import make_mixer
from models.network import NETWORKS, Network
from models.static_state import MODES, StaticState

#: Paths times windows of one step: on a CPU more no longer fit its caches, on a GPU fewer leave it idle.
ROWS_AT_ONCE = {"cpu": 1024, "cuda": 65536}

#: Of the paths: what they are must not depend on the seed of a fit, nor on what else is asked.
SEED = 20_200_101


@NETWORKS.register("deepar")
class DeepAR(Network):
    """See the module's docstring. Rows before the origin get 0: they are never asked.

    `forward` reads the true rows in training (where `batch.target` is given), else its own point forecasts;
    `sample` draws `paths` futures, each window's from a random stream of its own: it is repeatable, and
    depends neither on the other windows of the batch nor on other batches. With a head of points, or
    paths=0, the forecast is that of `forward`.

    Raises InputError for a `cell` that cannot go on from row to row, and for settings out of their range.
    """

    causal: ClassVar[bool] = True
    default_head: ClassVar[str | None] = "gaussian"

    @dataclass(frozen=True)
    class Config:
        """Settings with their defaults."""

        hidden: int = 64
        layers: int = 2
        cell: str = "lstm"  # a recurrent mixer that hands its state over: lstm, gru, rnn
        dropout: float = 0.1  # between layers
        width: int = 0  # of the embedding; 0: hidden
        lags: list[int] = field(default_factory=list)  # rows back; []: 1, the seasons and their neighbours
        skip: bool = True  # the outputs see the row's inputs beside the state
        add_last: str = "none"  # what of its own path a row's output is added to: none, last, seasonal
        paths: int = 100  # drawn for a forecast; 0: none, what follows from the point forecasts instead
        static_state: str = (
            "state"  # how static metadata enters: state, concatenate, both, none, learned, random
        )
        static_width: int = 32

    def __init__(self, schema: InputSchema, config: Any, outputs: int = 1) -> None:
        super().__init__(schema, config, outputs)
        one_of(config.static_state, MODES, "static_state", "static_state")
        if config.paths < 0:
            raise InputError(f"deepar.paths: found {config.paths}, expected 0 or more")
        one_of(config.add_last, KINDS, "add_last", "add_last")
        width = config.width or config.hidden
        self.inputs = AutoregressiveInputs(schema, width, config.lags, config.add_last, "deepar.lags")
        inputs = self.inputs.width
        entry = {"hidden": config.hidden, "layers": config.layers, "dropout": config.dropout}
        mixer = make_mixer({"name": config.cell, **entry}, inputs, "deepar.cell")
        if not mixer.carries:
            raise InputError(
                f"deepar.cell: {config.cell!r} cannot go on from row to row, as lstm, gru and rnn can"
            )
        self.mixer = mixer
        self.static_state = StaticState(
            schema, [mixer.state_shapes()], [inputs], config.static_state, config.static_width
        )
        self.outlet = nn.Linear(mixer.width_out + (inputs if config.skip else 0), schema.targets * outputs)

    def forward(self, batch: SequenceBatch) -> Tensor:
        if self.training and batch.target is not None:
            return self._teacher_forced(batch)
        outputs: list[Tensor] = []
        units = self.own_forecasts.units(batch)

        def point(output: Tensor) -> Tensor:
            outputs.append(output)
            return self.own_forecasts.point(output, units)

        self._run_on(self._past(batch), point)
        return to_rows(torch.cat(outputs, dim=1), batch)

    def taught(self, batch: SequenceBatch) -> Tensor:
        output: Tensor = self(batch) if self.training else self._teacher_forced(batch)
        return output

    def sample(self, batch: SequenceBatch) -> Tensor | None:
        if not self.config.paths or not self.own_forecasts.spread:
            return None
        paths, windows = self.config.paths, len(batch.length)
        past = self._past(batch)
        generators = window_generators(batch, SEED)
        at_once = max(1, ROWS_AT_ONCE.get(batch.real.device.type, 1024) // paths)
        futures = [
            self._paths(past.repeated(first, first + at_once, paths), generators[first : first + at_once])
            for first in range(0, windows, at_once)
        ]
        drawn = torch.cat(futures)  # (B, N, H, K)
        flat = to_rows(drawn.transpose(1, 2).flatten(2), batch)  # (B, L, N * K)
        return flat.unflatten(2, (paths, -1)).permute(2, 0, 1, 3)

    def _paths(self, past: Past, generators: list[torch.Generator]) -> Tensor:
        """(b, N, H, K) draws for b windows, each of which stands N times in `past`."""
        head: Any = self.own_forecasts.head

        def draw(output: Tensor) -> Tensor:
            parameters = self.own_forecasts.parameters(output, past.units)  # (b * N, 1, K, .)
            windows = parameters.unflatten(0, (len(generators), -1))
            both = zip(windows, generators, strict=True)
            return torch.cat([head.draw(window, generator) for window, generator in both])

        return self._run_on(past, draw).unflatten(0, (len(generators), -1))

    def _run_on(self, past: Past, read: Callable[[Tensor], Tensor]) -> Tensor:
        """(B, H, K): from the origin on, row by row, what `read` makes of the outputs (B, 1, K * P)."""
        states = past.states
        values = list(past.value.split(1, dim=1))  # (B, 1, K) each
        one = torch.ones_like(past.origin)
        for step in range(past.rows.shape[1]):
            before = torch.cat([values[-lag] for lag in self.inputs.lags], dim=-1)
            rows, number = past.rows[:, step : step + 1], (past.origin + step)[:, None]
            inputs, level = self.inputs.of_rows(rows, before, number)
            inputs = inputs if past.added is None else inputs + past.added
            hidden, states = self.mixer.carry(inputs, one, states)
            values.append(read(self._output(hidden, inputs, level)))
        return torch.cat(values[past.value.shape[1] :], dim=1)

    def _past(self, batch: SequenceBatch) -> Past:
        """Runs over the rows before each origin, in one call."""
        embedded, value = self.inputs.embedded(batch), self.inputs.known(batch)
        (states,), (added,) = self.static_state(batch)
        longest, last = max(self.inputs.lags), largest(batch.origin)
        if states is None:
            states = [embedded.new_zeros(len(embedded), *shape) for shape in self.mixer.state_shapes()]
        if last:
            inputs, _ = self.inputs(embedded[:, :last], value[:, :last])
            inputs = inputs if added is None else inputs + added
            _, states = self.mixer.carry(inputs, batch.origin, states)
        padded = nn.functional.pad(value, (0, 0, longest, 0))
        return Past(
            from_origin(embedded, batch.origin, longest_horizon(batch)),
            added,
            from_origin(padded, batch.origin, longest),
            batch.origin,
            states,
            self.own_forecasts.units(batch),
        )

    def _teacher_forced(self, batch: SequenceBatch) -> Tensor:
        """Every row reads the true rows before it, in one call; rows without a weight as its own draws."""
        assert batch.target is not None
        embedded, known = self.inputs.embedded(batch), self.inputs.known(batch)
        past, judged = batch.past(), batch.weight > 0
        value = torch.where(judged[:, :, None] & ~past[:, :, None], batch.target, known)
        unknown = ~judged & ~past
        followed = judged.flip(1).cumsum(1).flip(1) > 0  # by a row that is judged
        if bool((unknown & followed).any()):
            # A first look at what it would draw there, with the last known value for what is not known.
            value = torch.where(unknown[:, :, None], last_known(value, ~unknown), value)
            # Without autocast: what that casts without a gradient it would hand on to the second look.
            with torch.no_grad(), torch.autocast(value.device.type, enabled=False):
                output = self._outputs(embedded.float(), value, batch)
                generator = None if self.training else torch.Generator(value.device).manual_seed(SEED)
                drawn = self.own_forecasts.draw(output, self.own_forecasts.units(batch), generator)
            value = torch.where(unknown[:, :, None], drawn.to(value.dtype), value)
        output = self._outputs(embedded, value, batch)
        return output.masked_fill(~(batch.used() & ~past)[:, :, None], 0.0)

    def _outputs(self, embedded: Tensor, value: Tensor, batch: SequenceBatch) -> Tensor:
        """(B, L, K * P) of all rows, given the true values before each."""
        (states,), (added,) = self.static_state(batch)
        inputs, level = self.inputs(embedded, value)
        inputs = inputs if added is None else inputs + added
        return self._output(self.mixer(inputs, batch.length, states), inputs, level)

    def _output(self, hidden: Tensor, inputs: Tensor, level: Tensor | None) -> Tensor:
        output: Tensor = self.outlet(torch.cat([hidden, inputs], dim=-1) if self.config.skip else hidden)
        return output if level is None else self.add_level(output, level)

    @classmethod
    def small(cls) -> Any:
        return cls.Config(hidden=8, layers=2, dropout=0.0, paths=20, static_width=8)

    @classmethod
    def variants(cls) -> list[Any]:
        return [
            cls.small(),
            cls.Config(
                hidden=8,
                layers=1,
                cell="gru",
                lags=[1],
                skip=False,
                add_last="seasonal",
                static_state="both",
                static_width=8,
            ),
        ]

    @classmethod
    def search(cls, trial: Any) -> dict[str, Any]:
        return {
            "hidden": trial.suggest_categorical("hidden", [32, 64, 128, 256]),
            "layers": trial.suggest_int("layers", 1, 3),
            "cell": trial.suggest_categorical("cell", ["lstm", "gru"]),
            "dropout": trial.suggest_float("dropout", 0.0, 0.4),
            "skip": trial.suggest_categorical("skip", [False, True]),
            "add_last": trial.suggest_categorical("add_last", ["none", "last", "seasonal"]),
            "static_state": trial.suggest_categorical("static_state", ["state", "concatenate", "both"]),
        }
