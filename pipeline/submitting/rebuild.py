"""A submission made again from its manifest: the same settings, the same data, and then the same bytes.

The CSV is written to submissions/files/<name>-rebuilt.csv, so that nothing that is there is replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from data.errors import InputError
from data.raw_tables import competition_folder, raw_files
from pipeline.config import Config
from pipeline.conform import conform, to_object
from pipeline.libraries import installed_version
from pipeline.stages.prepare import file_hash, hash_if_there
from pipeline.store import ArtifactStore
from pipeline.submitting.code_version import code_version
from pipeline.submitting.compare import difference_lines
from pipeline.submitting.find import find_kept
from pipeline.submitting.folder import MANIFEST, Kept, csv_checksum, files_folder

SUFFIX = "-rebuilt"


@dataclass(frozen=True)
class Rebuild:
    """One submission that is made again."""

    kept: Kept
    config: Config  # with which the stages up to submit are run
    differences: tuple[str, ...]  # of libraries and code, a line each

    @classmethod
    def of(cls, config: Config) -> Rebuild:
        """What submit.rebuild asks for. InputError where the submission or its data are not there."""
        assert config.submit.rebuild is not None
        files = (Path(config.root) / "submissions" / "files").absolute()
        kept = find_kept(files, config.submit.rebuild, "submit.rebuild")
        if "predicted_by" in kept.manifest:
            raise InputError(
                f"submit.rebuild: {kept.name} was forecast by the models of {kept.manifest['predicted_by']};"
                f" the command in {kept.folder / 'command.txt'} makes it again"
            )
        own = config_of(kept, config)
        _same_data(kept, own)
        return cls(kept, own, tuple(_differences(kept.manifest)))

    def lines(self) -> Iterator[str]:
        """What is said before it begins."""
        name = f"{self.kept.name}/{self.kept.identity}"
        yield f"rebuild of {name}, made {self.kept.manifest['made'][:16].replace('T', ' ')} UTC"
        for line in self.differences:
            yield f"         not as then: {line}"

    def finish(self, store: ArtifactStore, say: Callable[[str], None]) -> int:
        """Compare what was made with what was there; the exit code: 0 where they are the same bytes."""
        made = store.folder(f"submit/{self.config.size}") / "submission.csv"
        there = files_folder(store.root) / f"{self.config.submit.name}.csv"
        if csv_checksum(made) == self.kept.manifest["csv"]["sha256"]:
            say(f"rebuilt bit for bit: {there}")
            return 0
        say(f"rebuilt, but not the same bytes: {there}")
        for line in difference_lines(self.kept, made):
            say(f"         {line}")
        if not self.differences:
            say(
                "         libraries, code and data are as they were: it was made on another machine or device"
            )
        return 1


def config_of(kept: Kept, config: Config) -> Config:
    """The configuration in a manifest; where things are and who works is this command's."""
    manifest, own = kept.manifest, typed_config(kept)
    if manifest["baseline"]:
        own.members = []
        baselines = own.competition.baselines
        own.competition.baselines = {manifest["baseline"]: baselines[manifest["baseline"]]}
    for name, member in manifest["members"].items():
        _with_seeds(own, name, member["seeds"], kept)
    own.submit.name = f"{kept.name}{SUFFIX}"
    own.competition.root = config.competition.root or own.competition.root
    return replace(own, stage="submit", root=config.root, executor=config.executor)


def typed_config(kept: Kept) -> Config:
    """The settings in a manifest. InputError for those that this code does not know."""
    try:
        own = to_object(conform(kept.manifest["config"], Config))
    except InputError as error:
        raise InputError(f"{kept.folder / MANIFEST}: made by other code: config: {error}") from None
    assert isinstance(own, Config)
    return own


def _with_seeds(config: Config, name: str, seeds: list[int], kept: Kept) -> None:
    """Exactly these seeds of a member: a budget may have left some out."""
    if seeds != list(range(config.seed, config.seed + len(seeds))):
        raise InputError(
            f"{kept.folder / MANIFEST}: the seeds {seeds} of {name} do not follow one another (a budget left"
            " some out): a rebuild would fit others too"
        )
    settings = config.member[name]
    config.member[name] = {**settings, "fit": {**(settings.get("fit") or {}), "seeds": len(seeds)}}


def _same_data(kept: Kept, config: Config) -> None:
    """InputError for the first file that is not there, or has another content than then."""
    folder = competition_folder(config.competition, Path(config.root))
    now = {name: file_hash(path) for name, path in raw_files(config.competition, folder).items()}
    then = kept.manifest["data"]
    for name in sorted({*then, *now}):
        if then.get(name) != now.get(name):
            found = "is not there" if name not in now else "has another content than when it was made"
            found = "was not there when it was made" if name not in then else found
            raise InputError(
                f"submit.rebuild: {folder / name} {found}; {kept.name} needs the data as they were"
            )
    for name, before in kept.manifest["files"].items():
        if not name.lower().startswith("python:") and before is not None and hash_if_there(name) != before:
            raise InputError(f"submit.rebuild: {name} is not the file that {kept.name} was made with")


def _differences(manifest: Mapping[str, Any]) -> Iterator[str]:
    for name, then in manifest["libraries"].items():
        now = installed_version(name)
        if now != then:
            yield f"{name} {then}, now {now or 'not installed'}"
    code, own = manifest["code"], code_version()
    if code["sources"] != own["sources"]:
        yield f"this project's code {_code_words(code)}, now {_code_words(own)}"


def _code_words(code: Mapping[str, Any]) -> str:
    commit = f"{code['commit'][:10]}{'+' if code['changed'] else ''}" if code["commit"] else code["version"]
    return f"{commit} (sources {code['sources'][:8]})"
