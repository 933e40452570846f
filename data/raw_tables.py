"""A competition's files as raw tables: what a reader returns and a panel is built from.

The default reader reads what the YAML declares. A reader of one's own (data/sources) may call it and then
change tables or the competition, for what YAML cannot say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from data.calendar_grid import in_utc
from data.competition import Competition
from data.errors import InputError
from data.registry import Registry
from data.tables import find_table, read_path, table_path


@dataclass(frozen=True)
class RawTables:
    """Tables as they stand in the files, in the files' order. Test truth is in `solution` only."""

    competition: Competition  # as the reader leaves it
    train: pd.DataFrame
    test: pd.DataFrame | None  # None: the horizon after each series' end is asked
    sample: pd.DataFrame | None = None
    solution: pd.DataFrame | None = None
    joins: tuple[pd.DataFrame | None, ...] = ()  # one for each of competition.joins; None: absent, optional
    files: dict[str, str] = field(default_factory=dict)  # train, test, ...: file name, for messages
    notes: tuple[str, ...] = ()

    def name(self, table: str) -> str:
        """The file of a table, for messages."""
        return self.files.get(table, table)


Reader = Callable[[Path, Competition], RawTables]

#: Readers by name: a function of the folder and the competition. See data/sources/m4.py for a short one.
READERS: Registry[Reader] = Registry("reader", "data.sources")


def competition_folder(competition: Competition, root: Path) -> Path:
    """Where the competition's files are: competition.root, else <root>/data/files/raw/<name>."""
    if competition.root:
        return Path(competition.root).expanduser()
    return Path(root) / "data" / "files" / "raw" / competition.name


def declared_files(competition: Competition) -> dict[str, tuple[str, bool]]:
    """table: (file name as declared, whether it may be absent)."""
    files = competition.files
    named = {"train": files.train, "test": files.test, "sample": files.sample, "solution": files.solution}
    declared = {table: (name, False) for table, name in named.items() if name}
    return declared | {join.file: (join.file, join.optional) for join in competition.joins}


def raw_files(competition: Competition, folder: Path) -> dict[str, Path]:
    """The files that are read, by declared name (for hashes of the data).

    Raises InputError for one that is absent, unless it is optional or a reader may do without it.
    """
    found = {}
    if competition.reader is None:
        _folder_is_there(competition, folder)
    for name, optional in declared_files(competition).values():
        path = find_table(folder, name) if folder.is_dir() else None
        if path is None and not optional and competition.reader is None:
            path = table_path(folder, name)  # raises, with the names that are there
        if path is not None:
            found[name] = path
    return found


def _folder_is_there(competition: Competition, folder: Path) -> None:
    """InputError that says where the files come from, and how to name another folder."""
    if folder.is_dir():
        return
    source = f" (kaggle competitions download {competition.kaggle})" if competition.kaggle else ""
    raise InputError(
        f"{folder}: no such folder; {competition.files.train} is expected in it{source}; files that lie"
        " elsewhere: competition.root=FOLDER"
    )


def read_competition(competition: Competition, folder: Path) -> RawTables:
    """The raw tables, by the competition's reader. Raises InputError for what cannot be read."""
    if competition.reader:
        reader = READERS.get(competition.reader, f"competition {competition.name}, reader")
        return reader(Path(folder), competition)
    return read_files(Path(folder), competition)


def read_files(folder: Path, competition: Competition) -> RawTables:
    """The files that the competition declares; columns of ids and series stay text, as in the file.

    So do the sample's times, since a submission repeats its ids as they are written.
    """
    _folder_is_there(competition, folder)
    text = text_columns(competition)
    sample_text = [*text, *([competition.time] if competition.time else [])]
    tables: dict[str, pd.DataFrame | None] = {}
    files = {}
    for table, (name, optional) in declared_files(competition).items():
        if optional and find_table(folder, name) is None:
            tables[table] = None
            continue
        path = table_path(folder, name)
        tables[table] = read_path(path, sample_text if table == "sample" else text, member=name)
        files[table] = path.name
    notes = _without_zones(tables, files)
    train = tables["train"]
    assert train is not None
    return without_truth(
        RawTables(
            competition=competition,
            train=train,
            test=tables.get("test"),
            sample=tables.get("sample"),
            solution=tables.get("solution"),
            joins=tuple(tables[join.file] for join in competition.joins),
            files=files,
            notes=notes,
        )
    )


def _without_zones(tables: dict[str, pd.DataFrame | None], files: dict[str, str]) -> tuple[str, ...]:
    """Turn times with a zone into times without one, in place; a note for each such column.

    They become UTC, so that files agree and no hour stands twice when clocks go back. Where all files have
    nothing but local midnights, they are days and stay these days.
    """
    zoned: dict[str, list[tuple[str, pd.DataFrame]]] = {}
    for table, frame in tables.items():
        for name in () if frame is None else frame.select_dtypes("datetimetz").columns:
            assert frame is not None
            zoned.setdefault(name, []).append((table, frame))
    notes = []
    for name, places in zoned.items():
        columns = [frame[name] for _, frame in places]
        days = all((column.isna() | (column == column.dt.normalize())).all() for column in columns)
        for (_, frame), column in zip(places, columns, strict=True):
            frame[name] = column.dt.tz_localize(None) if days else in_utc(column)
        zones = ", ".join(dict.fromkeys(str(column.dt.tz) for column in columns))
        where = ", ".join(files[table] for table, _ in places)
        meant = "days of that zone" if days and zones != "UTC" else "UTC"
        notes.append(f"{where}: column {name!r}: times with a zone ({zones}) are read as {meant}")
    return tuple(notes)


def without_truth(tables: RawTables) -> RawTables:
    """The same without target columns in the test table: no model may see them."""
    target = tables.competition.target
    if tables.test is None or not set(target) & set(tables.test.columns):
        return tables
    there = [name for name in target if name in tables.test.columns]
    notes = tables.notes
    if tables.solution is None and tables.test[there].notna().any(axis=None):
        notes += (
            f"{tables.name('test')}: values of the target {', '.join(there)} are left out"
            f" (declare the file as files.solution to score against them)",
        )
    return replace(tables, test=tables.test.drop(columns=there), notes=notes)


def text_columns(competition: Competition) -> list[str]:
    """Columns that are kept as text: those of ids and series."""
    names = [*competition.row_id, *competition.series]
    if competition.submission.row_id:
        names.append(competition.submission.row_id)
    return list(dict.fromkeys(names))


def id_columns(competition: Competition) -> list[str]:
    """Columns that make a row's id: row_id, else series and time."""
    if competition.row_id:
        return list(competition.row_id)
    names = [*competition.series, *([competition.time] if competition.time else [])]
    if not names:
        raise InputError(
            f"competition {competition.name}: row_id is empty, and there is no series or time column"
        )
    return names
