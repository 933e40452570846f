"""What a study may choose: a network's own search, narrowed or extended by `tune.space`.

`tune.space.<member>.<key>` is {low, high, log, step}, {choices: [...]} or a fixed value. A key is a
parameter that the member's `search` suggests (narrowed: what is not said stays as it is), or another setting
of the member, `fit.<key>`, `windows.<key>` or `features.<family>` (then it is added to the space).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from data.errors import InputError
from models.members.catalogue import member_class
from models.members.neural import NeuralMember
from models.network import NETWORKS
from pipeline.tuning.settings import flat, nested

LIMITS = ("low", "high", "log", "step")
DRAWS = 30  # at random, that show all that a search suggests, what hangs on another one's value included


class NoRange(InputError):
    """What tune.space says of a key makes no range, by itself or with what the member's search has."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"{key}: {reason}")
        self.key = key


@dataclass(frozen=True)
class Choice:
    """What `tune.space` says of one key; None: not said."""

    low: float | None = None
    high: float | None = None
    log: bool | None = None
    step: float | None = None
    choices: tuple[Any, ...] | None = None
    fixed: bool = False
    value: Any = None  # where fixed

    @classmethod
    def of(cls, given: Any) -> Choice:
        """From YAML; `check.py` has refused what makes no sense."""
        if isinstance(given, Mapping) and "choices" in given:
            return cls(choices=tuple(given["choices"]))
        if isinstance(given, Mapping) and set(given) & set(LIMITS):
            return cls(**given)
        return cls(fixed=True, value=given)

    def values(self) -> list[Any]:
        """Those that it names: every one must be a valid value of the setting."""
        if self.fixed:
            return [self.value]
        if self.choices is not None:
            return list(self.choices)
        return [value for value in (self.low, self.high) if value is not None]


class Space:
    """The space of one member."""

    def __init__(self, kind: str, given: Mapping[str, Any], prefix: str = "") -> None:
        """kind: of the member; given: its part of tune.space; prefix: before its parameters' names."""
        self.kind = kind
        self.prefix = prefix
        self.choices = {key: Choice.of(value) for key, value in flat(given).items()}

    def suggest(self, trial: Any) -> dict[str, Any]:
        """Nested settings of the member, drawn from an Optuna trial (or something that suggests like one)."""
        narrowed = _Narrowed(trial, self.choices, self.prefix)
        drawn = dict(search_of(self.kind)(narrowed))
        for key, choice in self.choices.items():
            if key not in narrowed.asked:
                drawn[key] = choice.value if choice.fixed else narrowed.extend(key, choice)
        return nested(_plain(drawn))

    def parameters_of(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Optuna parameters that stand for a member's settings.

        A value that the space does not have is replaced by the nearest that it has: the trial is made with
        the settings themselves, and the sampler is told about where they are.
        """
        stand_in = _Given(settings, self.prefix)
        self.suggest(stand_in)
        return stand_in.params


def search_of(kind: str) -> Any:
    """`search` of a member's kind: the network's own, or the member's."""
    chosen = member_class(kind)
    return NETWORKS.get(kind).search if chosen is NeuralMember else chosen.search


def own_parameters(kind: str) -> set[str]:
    """Names that a kind's `search` suggests, those that hang on another one's value included."""
    names: set[str] = set()
    for seed in range(DRAWS):
        drawn = _Random(seed)
        search_of(kind)(drawn)
        names |= drawn.names
    return names


def check_ranges(kind: str, given: Mapping[str, Any]) -> None:
    """NoRange for the first key from which no trial could be drawn as it is written."""
    space = Space(kind, given)
    for seed in range(DRAWS):
        space.suggest(_Random(seed))


class _Narrowed:
    """An Optuna trial as `search` sees it, where the user's choices stand above the network's own."""

    def __init__(self, trial: Any, choices: Mapping[str, Choice], prefix: str) -> None:
        self.trial, self.choices, self.prefix = trial, choices, prefix
        self.asked: set[str] = set()

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> Any:
        return self._suggest(name, Choice(low=low, high=high, step=step, log=log), whole=False)

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> Any:
        return self._suggest(name, Choice(low=low, high=high, step=step, log=log), whole=True)

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        return self._suggest(name, Choice(choices=tuple(choices)), whole=None)

    def extend(self, key: str, choice: Choice) -> Any:
        """A key that `search` does not suggest."""
        whole = all(isinstance(value, int) for value in (choice.low, choice.high, choice.step or 1))
        if choice.choices is None:
            _check_range(key, choice, choice, whole)
        return self._ask(key, choice, whole)

    def _suggest(self, name: str, own: Choice, whole: bool | None) -> Any:
        self.asked.add(name)
        given = self.choices.get(name)
        if given is None:
            return self._ask(name, own, whole)
        if given.fixed:
            return given.value
        if given.choices is not None:
            return self._ask(name, given, whole)
        low = _end(name, own, min) if given.low is None else given.low
        high = _end(name, own, max) if given.high is None else given.high
        if whole is None:
            whole = all(isinstance(value, int) for value in (low, high))
        log = own.log if given.log is None else given.log
        step = given.step if given.step is not None else None if log else own.step
        narrowed = Choice(low=low, high=high, log=log, step=step)
        _check_range(name, narrowed, given, whole)
        return self._ask(name, narrowed, whole)

    def _ask(self, name: str, choice: Choice, whole: bool | None) -> Any:
        full = f"{self.prefix}{name}"
        if choice.choices is not None:
            # Optuna stores plain values only; a list is told by its place among the choices.
            if all(value is None or isinstance(value, bool | int | float | str) for value in choice.choices):
                return self.trial.suggest_categorical(full, list(choice.choices))
            texts = [str(value) for value in choice.choices]
            return choice.choices[texts.index(self.trial.suggest_categorical(full, texts))]
        log, low, high = bool(choice.log), choice.low, choice.high
        assert low is not None
        assert high is not None
        if whole:
            step = 1 if log else int(choice.step or 1)
            return self.trial.suggest_int(full, int(low), int(high), step=step, log=log)
        return self.trial.suggest_float(full, float(low), float(high), step=choice.step, log=log)


class _Given:
    """Suggests what settings have, or the nearest that the space has; remembers it."""

    def __init__(self, settings: Mapping[str, Any], prefix: str) -> None:
        self.settings, self.prefix = settings, prefix
        self.params: dict[str, Any] = {}

    def at(self, name: str) -> Any:
        """The setting behind a parameter's name."""
        key = name.removeprefix(self.prefix)
        group, dot, rest = key.partition(".")
        return (self.settings.get(group) or {}).get(rest) if dot else self.settings.get(key)

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        known = [value for value in choices if value == self.at(name) and type(value) is type(self.at(name))]
        known = known or [value for value in choices if str(value) == str(self.at(name))]
        self.params[name] = known[0] if known else _nearest(self.at(name), list(choices))
        return self.params[name]

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> Any:
        value = self.at(name)
        value = low if isinstance(value, bool) or not isinstance(value, int | float) else value
        self.params[name] = low + round((min(high, max(low, value)) - low) / step) * step
        return self.params[name]

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> Any:
        value = self.at(name)
        value = low if isinstance(value, bool) or not isinstance(value, int | float) else value
        inside = min(high, max(low, float(value)))
        self.params[name] = low + round((inside - low) / step) * step if step else inside
        return self.params[name]


class _Random:
    """Suggests at random and remembers the names."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.names: set[str] = set()

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        self.names.add(name)
        return self.random.choice(list(choices))

    def suggest_int(self, name: str, low: int, high: int, **settings: Any) -> Any:
        self.names.add(name)
        return self.random.randint(low, high)

    def suggest_float(self, name: str, low: float, high: float, **settings: Any) -> Any:
        self.names.add(name)
        return self.random.uniform(low, high)


def _end(key: str, own: Choice, pick: Callable[[list[float]], float]) -> float:
    """The smallest or the largest value of the member's own search."""
    values = [own.low, own.high] if own.choices is None else list(own.choices)
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) < len(values):
        shown = ", ".join(str(value) for value in values)
        raise NoRange(key, f"the member's own search chooses from {shown}, expected {{choices: [...]}}")
    return pick(numbers)


def _check_range(key: str, choice: Choice, given: Choice, whole: bool) -> None:
    """NoRange unless values can be drawn from `choice`, of which `given` is the part that the user wrote."""
    low, high, step = choice.low, choice.high, choice.step
    assert low is not None
    assert high is not None
    if low > high:
        ends = [
            f"{name} {value:g}" + ("" if getattr(given, name) is not None else " of the member's own search")
            for name, value in (("low", low), ("high", high))
        ]
        raise NoRange(key, f"{ends[0]} is above {ends[1]}")
    if choice.log and low <= 0:
        raise NoRange(key, f"found low {low:g}, expected above 0 with log: true")
    if choice.log and given.step is not None:
        raise NoRange(
            key, "the member's own search has log: true, with which there is no step; add log: false"
        )
    for name, value in (("low", low), ("high", high), ("step", step)):
        if whole and value is not None and value != int(value):
            raise NoRange(key, f"found {name} {value:g}, expected a whole number")


def _nearest(value: Any, choices: list[Any]) -> Any:
    numbers = all(isinstance(one, int | float) and not isinstance(one, bool) for one in [value, *choices])
    return min(choices, key=lambda one: abs(one - value)) if numbers else choices[0]


def _plain(value: Any) -> Any:
    """As JSON gives it back, so that a trial's settings are those that are read from its study later."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return value
