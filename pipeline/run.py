"""The one way in: `python -m pipeline.run KEY=VALUE ...`, also installed as `workbench`.

Bad input is one line on stderr and exit code 2; an interrupt one line and 130; an error of our own keeps
its traceback and exits with 1. Nothing heavy is imported before the words have been understood.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from data.errors import InputError, nearest, unknown

OPTIONS = ("-h", "--help", "-m", "--multirun", "--cfg", "--version", "--config-dir")
DRAFT_WORDS = ("new", "train", "test", "sample", "out")
LIST_WORDS = ("list", "plugins", "root")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _command(words)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command goes on where it stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _command(words: list[str]) -> int:
    options = _Parser().parse_args(words)
    if options.help:
        from pipeline.help import help_text

        print(help_text(), end="")
        return 0
    if options.version:
        print(f"workbench {version()}")
        return 0
    given = [word.partition("=")[0] for word in options.words if "=" in word]
    if "list" in given:
        return _list(options)
    if "new" in given:
        return _draft(options)
    return _run(options, words)


def _run(options: argparse.Namespace, command: list[str]) -> int:
    from pipeline import overrides
    from pipeline.compose import compose, to_yaml
    from pipeline.config_folders import ConfigFolders
    from pipeline.word_hints import word_hints

    if options.multirun:
        runs = overrides.expand(options.words, word_hints(ConfigFolders(options.config_dir)))
    else:
        runs = [options.words]
    configs = [
        compose(run, options.config_dir) for run in runs
    ]  # all are checked before the first one starts
    if options.cfg:
        print("---\n".join(to_yaml(config) for config in configs), end="")
        return 0
    from pipeline.runner import run as run_config

    code = 0
    for number, (config, run) in enumerate(zip(configs, runs, strict=True), start=1):
        if len(runs) > 1:
            print(f"run {number} of {len(runs)}: {' '.join(run)}", flush=True)
        code = max(code, run_config(config, command if len(runs) == 1 else run))
    return code


def _list(options: argparse.Namespace) -> int:
    from pipeline.listing import listing

    values = _pairs(options.words, LIST_WORDS, "list=")
    plugins = [file.strip() for file in values.get("plugins", "").strip("[]").split(",") if file.strip()]
    print(listing(values["list"], options.config_dir, plugins, values.get("root", ".")))
    return 0


def _draft(options: argparse.Namespace) -> int:
    from pipeline.draft import draft_competition

    values = _pairs(options.words, DRAFT_WORDS, "new=NAME")
    if not values.get("train"):
        raise InputError(
            f"new={values['new']}: train=FILE is missing; expected new=NAME train=FILE [test= sample= out=]"
        )
    files = {name: Path(values[name]) if values.get(name) else None for name in ("train", "test", "sample")}
    assert files["train"] is not None
    print(
        draft_competition(
            values["new"],
            files["train"],
            files["test"],
            files["sample"],
            Path(values.get("out") or "my_conf"),
        )
    )
    return 0


def _pairs(words: Sequence[str], known: Sequence[str], command: str) -> dict[str, str]:
    """KEY=VALUE words of a command that composes nothing; InputError for one that it does not take."""
    values: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise InputError(f"{word!r} stands alone; expected KEY=VALUE with one of {', '.join(known)}")
        if key not in known:
            raise unknown("key", key, known, command)
        if key in values:
            raise InputError(f"{command}: {key} is given twice")
        values[key] = value
    return values


def version() -> str:
    """Of this project."""
    from pipeline.libraries import project_version

    return project_version()


class _Parser(argparse.ArgumentParser):
    """Options and KEY=VALUE words in any order; what it refuses becomes an InputError."""

    def __init__(self) -> None:
        super().__init__(add_help=False, allow_abbrev=False)
        self.add_argument("words", nargs="*")
        self.add_argument("-h", "--help", action="store_true")
        self.add_argument("-m", "--multirun", action="store_true")
        self.add_argument("--cfg", action="store_true")
        self.add_argument("--version", action="store_true")
        self.add_argument("--config-dir", action="append", default=[])

    def parse_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def, override]
        options, rest = self.parse_known_intermixed_args(args)
        for word in rest:
            name = word.partition("=")[0]
            near = nearest(name, OPTIONS, 2)
            hint = f"did you mean {' or '.join(near)}?" if near else f"options: {', '.join(OPTIONS)}"
            raise InputError(f"unknown option {word!r}; {hint}")
        return options

    def error(self, message: str) -> NoReturn:
        raise InputError(f"command line: {message}; --help shows the usage")


if __name__ == "__main__":
    sys.exit(main())
