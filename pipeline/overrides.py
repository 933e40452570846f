"""The words of the command line: KEY=VALUE in Hydra's grammar, split up, swept and worded when wrong."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from data.errors import InputError, nearest


def parse(arguments: Sequence[str], hints: dict[str, str]) -> list[Override]:
    """Hydra overrides of KEY=VALUE words. `hints`: what to write for a word that stands alone.

    Raises InputError for a word without '=' (with the nearest hint) and for a value that cannot be read.
    """
    parser = OverridesParser.create()
    overrides = []
    for argument in arguments:
        if "=" not in argument and not argument.startswith("~"):
            raise _alone(argument, hints)
        if not argument.partition("=")[0].strip("+~ "):
            raise InputError(f"{argument!r}: the key before '=' is missing; expected KEY=VALUE")
        try:
            override = parser.parse_override(argument)
        except (HydraException, OmegaConfBaseException) as error:
            raise InputError(
                f"{argument!r} cannot be read as KEY=VALUE ({str(error).splitlines()[0].rstrip('.')}); "
                "put the value in quotes: 'key=\"value\"'"
            ) from error
        if override.key_or_group == "hydra" or override.key_or_group.startswith("hydra."):
            raise InputError(
                f"{argument!r}: Hydra's own settings are fixed here; nothing is written by Hydra"
            )
        overrides.append(override)
    return overrides


def expand(arguments: Sequence[str], hints: dict[str, str]) -> list[list[str]]:
    """Every combination of swept values (`seed=0,1,2`), the last one varying fastest."""
    ways: list[list[str]] = []
    for override in parse(arguments, hints):
        assert override.input_line is not None
        if not override.is_sweep_override():
            ways.append([override.input_line])
            continue
        if not override.is_discrete_sweep():
            raise InputError(
                f"{override.input_line!r}: only lists of values and ranges can be swept, not intervals"
            )
        key = override.get_key_element()
        ways.append([f"{key}={value}" for value in override.sweep_string_iterator()])
    return [list(combination) for combination in itertools.product(*ways)]


def refuse_sweeps(overrides: Iterable[Override]) -> None:
    """InputError for `seed=0,1,2` without --multirun."""
    for override in overrides:
        if override.is_sweep_override():
            key, _, value = str(override.input_line).partition("=")
            raise InputError(
                f"{override.input_line!r} gives several values: write {key}=[{value}] for a list, "
                "or add --multirun for one run after another"
            )


def _alone(word: str, hints: dict[str, str]) -> InputError:
    if word in hints:
        return InputError(f"{word!r} stands alone; expected KEY=VALUE: did you mean {hints[word]}?")
    near = nearest(word, hints, 2)
    if near:
        written = " or ".join(dict.fromkeys(hints[name] for name in near))
        return InputError(f"{word!r} stands alone; expected KEY=VALUE: did you mean {written}?")
    return InputError(f"{word!r} stands alone; expected KEY=VALUE, as stage=train; --help shows the keys")
