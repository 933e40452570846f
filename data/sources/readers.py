"""Readers for what a competition's YAML cannot say: one file each in this folder, found by name.

from data.raw_tables import RawTables, read_files
from data.sources.readers import READERS

@READERS.register("mine")
def mine(folder: Path, competition: Competition) -> RawTables:
    tables = read_files(folder, competition)
    ...
"""

from __future__ import annotations

from data.raw_tables import READERS, Reader

__all__ = ["READERS", "Reader"]
