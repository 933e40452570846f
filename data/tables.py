"""Reading a competition's files: .csv, .csv.gz, .zip and .parquet alike, each broken one said in a line.

CSV goes through Arrow's reader (about 1 s per million rows). Types are those Arrow infers over the whole
file; columns named in `text` stay text, so that an id such as "0007" is kept as it stands in the file, and in
them only an empty value is missing: NA is a country, too.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import IO

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq

from data.coding import stamp_texts
from data.errors import InputError, nearest

SUFFIXES = (".csv", ".csv.gz", ".csv.zip", ".zip", ".parquet")
_DELIMITERS = (",", "\t", ";", "|")
_MISSING = pa.array(arrow_csv.ConvertOptions().null_values, pa.string())


def stem(name: str) -> str:
    """`train` of train.csv, train.csv.gz, train.csv.zip, train.zip and train.parquet."""
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


def find_table(folder: Path, name: str) -> Path | None:
    """The file that holds the table `name`: itself, with another suffix, or a zip that has it; else None."""
    if (folder / name).is_file():
        return folder / name
    for suffix in SUFFIXES:
        path = folder / f"{stem(name)}{suffix}"
        if path.is_file():
            return path
    for path in sorted(folder.glob("*.zip")):  # the one archive that a whole competition is downloaded as
        if zipfile.is_zipfile(path) and _member(path, name) is not None:
            return path
    return None


def table_path(folder: Path, name: str) -> Path:
    """`find_table`, but InputError with the names of the files that are there."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; {name} is expected in it")
    path = find_table(folder, name)
    if path is None:
        there = sorted(file.name for file in folder.iterdir() if file.is_file())
        near = nearest(stem(name), [stem(file) for file in there])
        files = [file for file in there if stem(file) in near] or there
        hint = ("did you mean " if near else "files there: ") + (", ".join(files[:8]) or "none")
        raise InputError(f"{folder}: no file {name} (nor {stem(name)}.csv.gz, .zip, .parquet); {hint}")
    return path


def read_table(folder: Path, name: str, text: Iterable[str] = ()) -> pd.DataFrame:
    """The table `name` of `folder`, in the file's order; columns named in `text` as strings.

    Raises InputError for a file that is absent, empty, cut off, not a table, or has a column twice.
    """
    path = table_path(folder, name)
    return read_path(path, text, member=name)


def read_path(path: Path, text: Iterable[str] = (), member: str | None = None) -> pd.DataFrame:
    """The table in the file `path`; `member`: its name inside a zip that has several files."""
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty; expected a header and rows")
    wanted = list(text)
    try:
        if path.name.lower().endswith(".parquet"):
            table = pq.ParquetFile(path).read()
        elif path.name.lower().endswith(".zip"):
            table = _read_zip(path, member or path.name, wanted)
        else:
            table = _read_csv(_bytes(path), path, wanted)
        frame = _frame(table, wanted)
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, pa.ArrowException) as error:
        raise _unreadable(path, error) from error
    if table.num_columns == 0 or table.num_rows == 0:
        header = ", ".join(table.column_names) or "(nothing)"
        raise InputError(f"{path}: no rows; found only the header {header}")
    _check_header(path, table.column_names)
    return frame


def typed(texts: pd.Series) -> pd.Series:
    """(N,) strings in the type that `read_table` gives them without `text`; what is no text as it is."""
    if pd.api.types.infer_dtype(texts, skipna=True) != "string":
        return texts
    stream = io.BytesIO()
    arrow_csv.write_csv(pa.table({"text": pa.array(texts, pa.string())}), stream)
    stream.seek(0)
    column = _frame(_read_csv(stream, Path("text"), []), [])["text"]
    return texts if column.dtype == object else column


def missing_columns(frame: pd.DataFrame, expected: Iterable[str], file: str) -> None:
    """InputError for the first of `expected` that `frame` lacks, with the nearest column that it has."""
    for name in expected:
        if name not in frame.columns:
            near = nearest(name, frame.columns)
            hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
            found = ", ".join(frame.columns[:20])
            raise InputError(f"{file}: column {name!r} is missing; {hint}found columns {found}")


def _bytes(path: Path) -> IO[bytes] | pa.NativeFile:
    if path.name.lower().endswith(".gz"):
        return gzip.open(path, "rb")
    return pa.memory_map(str(path), "rb")


def _member(path: Path, name: str) -> str | None:
    """The member of a zip that is the table `name` (any folder inside the archive)."""
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            base = Path(member).name
            if not member.endswith("/") and not base.startswith(".") and stem(base) == stem(name):
                return member
    return None


def _read_zip(path: Path, name: str, text: list[str]) -> pa.Table:
    with zipfile.ZipFile(path) as archive:
        files = [file for file in archive.namelist() if not file.endswith("/") and "__MACOSX" not in file]
        member = _member(path, name) or (files[0] if len(files) == 1 else None)
        if member is None:
            raise InputError(f"{path}: no {name} inside; found {', '.join(files[:8]) or 'nothing'}")
        content = archive.read(member)
    if not content:
        raise InputError(f"{path}: {member} inside it is empty; expected a header and rows")
    if member.lower().endswith(".parquet"):
        return pq.read_table(pa.BufferReader(content))
    if member.lower().endswith(".gz"):
        content = gzip.decompress(content)
    return _read_csv(io.BytesIO(content), path, text)


def _read_csv(stream: IO[bytes] | pa.NativeFile, path: Path, text: list[str]) -> pa.Table:
    with stream:
        buffer = stream.read_buffer() if isinstance(stream, pa.NativeFile) else pa.py_buffer(stream.read())
    start = buffer.slice(0, min(65_536, buffer.size)).to_pybytes().decode("utf-8", "replace")
    if not start.strip():
        raise InputError(f"{path}: the file is empty; expected a header and rows")
    header = start.lstrip().split("\n", 1)[0]
    delimiter = max(_DELIMITERS, key=lambda mark: (header.count(mark), mark == ","))
    # which texts are missing depends on the column (see below); of numbers Arrow's spellings are
    convert = arrow_csv.ConvertOptions(
        column_types=dict.fromkeys(text, pa.string()), strings_can_be_null=False, check_utf8=True
    )
    parse = arrow_csv.ParseOptions(delimiter=delimiter)
    if "\ufffd" in start:
        _check_encoding(buffer, path, delimiter)
    try:
        table = arrow_csv.read_csv(pa.BufferReader(buffer), parse_options=parse, convert_options=convert)
    except pa.ArrowInvalid:
        _check_encoding(buffer, path, delimiter)
        # again, row by row: either the quoted line breaks are allowed now, or the message names the row
        table = arrow_csv.read_csv(
            pa.BufferReader(buffer),
            read_options=arrow_csv.ReadOptions(use_threads=False),
            parse_options=arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=convert,
        )
    if any(map(pa.types.is_binary, table.schema.types)):  # what Arrow makes of text that is not UTF-8
        _check_encoding(buffer, path, delimiter)
    return _with_missing_texts(table, text)


def _with_missing_texts(table: pa.Table, text: list[str]) -> pa.Table:
    """Strings that stand for a missing value as nulls: Arrow's (NA, null); in `text` the empty one alone."""
    for number, (name, column) in enumerate(zip(table.column_names, table.columns, strict=True)):
        if pa.types.is_string(column.type):
            missing = pc.equal(column, "") if name in text else pc.is_in(column, _MISSING)
            if pc.any(missing).as_py():
                table = table.set_column(number, name, pc.if_else(missing, None, column))
    return table


def _check_encoding(buffer: pa.Buffer, path: Path, delimiter: str) -> None:
    """InputError for the first byte that is not UTF-8. Called on a suspicion alone, since it takes a second
    per GB."""
    try:
        str(buffer, "utf-8")
    except UnicodeDecodeError as error:
        before = buffer.slice(0, error.start).to_pybytes()
        line = before[before.rfind(b"\n") + 1 :].decode()
        column = max(1, len(next(csv.reader([line], delimiter=delimiter))))
        header = before.split(b"\n", 1)[0].decode().removeprefix("\ufeff").strip() if b"\n" in before else ""
        names = next(csv.reader([header], delimiter=delimiter))
        name = repr(names[column - 1]) if column <= len(names) else column
        raise InputError(
            f"{path}: line {before.count(bytes([10])) + 1}, column {name}: found the byte"
            f" 0x{buffer[error.start]:02x}, expected UTF-8; save the file as UTF-8"
        ) from None


def _check_header(path: Path, names: list[str]) -> None:
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise InputError(f"{path}: column {doubled[0]!r} stands twice in the header {', '.join(names)}")


def _frame(table: pa.Table, text: list[str]) -> pd.DataFrame:
    """pandas columns: numbers (booleans too), datetime64 and strings; no mixed types."""
    columns = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        kind = column.type
        if pa.types.is_dictionary(kind):
            column, kind = column.cast(kind.value_type), kind.value_type
        if pa.types.is_null(kind):
            column = column.cast(pa.string() if name in text else pa.float64())
        elif pa.types.is_boolean(kind) or pa.types.is_decimal(kind):
            column = column.cast(pa.float64())
        elif pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            column = pa.chunked_array([part.cast(pa.string()) for part in column.chunks], pa.string())
        if name in text and pa.types.is_timestamp(kind) and kind.tz is None:  # of a parquet file
            columns[name] = stamp_texts(column.to_pandas())
            continue
        if name in text and not pa.types.is_string(column.type) and not pa.types.is_large_string(column.type):
            column = column.cast(pa.string())
        columns[name] = column.to_pandas(date_as_object=False)
    return pd.DataFrame(columns, copy=False)


def _unreadable(path: Path, error: Exception) -> InputError:
    found = str(error).splitlines()[0] if str(error) else type(error).__name__
    row = re.search(r"Row #(\d+): Expected (\d+) columns, got (\d+)", found)
    if row:
        line, expected, got = row.groups()
        return InputError(f"{path}: line {line} has {got} columns, expected the header's {expected}")
    if isinstance(error, EOFError | zlib.error | gzip.BadGzipFile) or "runcated" in found:
        return InputError(f"{path}: the file is cut off or damaged ({found}); download or copy it again")
    return InputError(f"{path}: cannot be read as a table: {found}")
