"""The folders that configuration is read from: our conf/, and the user's own given by --config-dir."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import yaml

from data.errors import InputError

CONF = Path(__file__).resolve().parent / "conf"
GROUPS = ("competition", "size", "member", "probe")  # subfolders whose YAML files are choices
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, in all wheels of PyYAML


class Chosen(NamedTuple):
    """The file of each group that a run takes; of members it takes all."""

    competition: str
    size: str
    probe: str


class ConfigFolders:
    """Our conf/ and the user's folders, searched alike for the groups competition, size, member and probe.

    Raises InputError for a folder that does not exist, one that holds none of the groups, and a choice
    that two folders define (which of the two was meant would be a guess).
    """

    def __init__(self, config_dirs: Iterable[str | Path] = ()) -> None:
        self.folders = [CONF]
        for given in config_dirs:
            folder = Path(given).resolve()
            if not folder.is_dir():
                what = "is a file, not a folder" if folder.exists() else "does not exist"
                raise InputError(f"--config-dir {given}: the folder {what}")
            if not any((folder / group).is_dir() for group in GROUPS):
                raise InputError(
                    f"--config-dir {given}: found none of the subfolders {', '.join(GROUPS)}; "
                    f"a competition stands in {given}/competition/NAME.yaml"
                )
            if folder not in self.folders:
                self.folders.append(folder)
        self._choices = {group: self._find(group) for group in GROUPS}

    def choices(self, group: str) -> Mapping[str, Path]:
        """The choices of a group by name, sorted: each is a YAML file."""
        return self._choices[group]

    def _find(self, group: str) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for folder in self.folders:
            for file in sorted((folder / group).glob("*.yaml")):
                if file.stem in found:
                    raise InputError(
                        f"{group} {file.stem!r} is defined twice: {shown(found[file.stem])} and "
                        f"{shown(file)}; give yours another name"
                    )
                found[file.stem] = file
        return dict(sorted(found.items()))

    def locate(self, key: str, chosen: Chosen) -> str:
        """'FILE:LINE' of a full key among the YAML files of one run, '' where none of them has it.

        Used to word errors only, so the files are simply looked through, the strongest layer first.
        """
        parts = key.split(".")
        competition = self.choices("competition").get(chosen.competition)
        candidates: list[tuple[Path | None, list[str]]] = [
            (competition, ["sizes", chosen.size, *parts]),
            (self.choices("size").get(chosen.size), parts),
            (CONF / "config.yaml", parts),
        ]
        if parts[0] in ("competition", "probe"):
            file = self.choices(parts[0]).get(getattr(chosen, parts[0]))
            candidates.append((file, parts[1:]))
        if parts[0] == "member" and len(parts) > 1:
            candidates.append((self.choices("member").get(parts[1]), parts[2:]))
        for file, path in candidates:
            line = _line_of(file, path) if file is not None else None
            if line is not None:
                return f"{shown(file)}:{line}"
        return ""


def shown(file: Path | str | None) -> str:
    """A path as people read it: relative to the working folder where it lies below it."""
    path = Path(str(file))
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _line_of(file: Path, path: list[str]) -> int | None:
    """The line (from 1) where a YAML file gives the key at `path`; None where it does not."""
    try:
        node = yaml.compose(file.read_text(encoding="utf-8"), Loader=LOADER)
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None
    line = None
    for part in path:
        if isinstance(node, yaml.SequenceNode) and part.isdigit() and int(part) < len(node.value):
            node = node.value[int(part)]
            line = node.start_mark.line + 1
            continue
        if not isinstance(node, yaml.MappingNode):
            return None
        matches = [(name, value) for name, value in node.value if getattr(name, "value", None) == part]
        if not matches:
            return None
        line, node = matches[0][0].start_mark.line + 1, matches[0][1]
    return line
