"""What a study may choose: a network's own search, narrowed or extended by `tune.space`.

`tune.space.<member>.<key>` is {low, high, log, step}, {choices: [...]} or a fixed value. A key is a
parameter that the member's `search` suggests (narrowed: what is not said stays as it is), or another setting
of the member, `fit.<key>`, `windows.<key>` or `features.<family>` (then it is added to the space).
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models.members.catalogue import member_class
from models.members.neural import NeuralMember
from models.network import NETWORKS
from pipeline.tuning.settings import flat, nested

LIMITS = ("low", "high", "log", "step")


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


def own_parameters(kind: str, draws: int = 30) -> set[str]:
    """Names that a kind's `search` suggests, those that hang on another one's value included."""
    names: set[str] = set()
    for seed in range(draws):
        drawn = _Random(seed)
        search_of(kind)(drawn)
        names |= drawn.names
    return names


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
        whole = all(isinstance(value, int) for value in (choice.low, choice.high))
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
        numbers = [own.low, own.high] if own.choices is None else list(own.choices)
        low = min(numbers) if given.low is None else given.low  # type: ignore[type-var]
        high = max(numbers) if given.high is None else given.high  # type: ignore[type-var]
        if whole is None:
            whole = all(isinstance(value, int) for value in (low, high))
        log = own.log if given.log is None else given.log
        step = given.step if given.step is not None else None if log else own.step
        return self._ask(name, Choice(low=low, high=high, log=log, step=step), whole)

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
