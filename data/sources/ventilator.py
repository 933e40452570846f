"""Google Brain's Ventilator Pressure Prediction (Kaggle 2021): Kaggle's files, or the simulator's.

Where train.csv is not in the competition's folder, files in the same schema are simulated once and kept;
their withheld pressures are then the solution, so that every run has a private score of its own.
"""

from __future__ import annotations

import copy
from pathlib import Path

from data.competition import Competition
from data.errors import InputError, unknown
from data.raw_tables import RawTables, read_files
from data.sources.readers import READERS
from data.sources.ventilator_simulator import write_competition
from data.tables import find_table

#: reader_settings and their defaults: breaths of 80 rows each.
SETTINGS = {"train_breaths": 4000, "test_breaths": 1000, "seed": 0}


@READERS.register("ventilator")
def read_ventilator(folder: Path, competition: Competition) -> RawTables:
    """Kaggle's files where they are, with a share of the breaths as local hold-out; else simulated ones.

    Only the default folder (data/files/raw/ventilator) is done without: InputError where another one was
    named that has no training file.
    """
    default = folder.parent.name == "raw" and folder.name == competition.name
    if find_table(folder, competition.files.train) is not None or not default:
        return read_files(folder, _as_found(folder, competition))
    simulated = folder.parent.parent / "interim" / _simulation_name(competition)
    train_breaths, test_breaths, seed = _settings(competition).values()
    if not (simulated / "train.csv").exists():  # written last, so the others are there if it is
        write_competition(simulated, train_breaths, test_breaths, seed)
    return read_files(simulated, competition)


def _as_found(folder: Path, competition: Competition) -> Competition:
    """Without a solution file the truth of the test rows is not known: hold out breaths instead."""
    if competition.files.solution is None or find_table(folder, competition.files.solution) is not None:
        return competition
    changed = copy.deepcopy(competition)
    changed.files.solution = None
    if changed.local.kind == "solution":
        changed.local.kind = "groups"
    return changed


def _simulation_name(competition: Competition) -> str:
    return "ventilator-" + "-".join(str(value) for value in _settings(competition).values())


def _settings(competition: Competition) -> dict[str, int]:
    """reader_settings over the defaults; InputError for an unknown or unfit one."""
    settings = dict(SETTINGS)
    for name, value in competition.reader_settings.items():
        if name not in settings:
            raise unknown("setting", name, settings, "competition.reader_settings")
        if isinstance(value, bool) or not isinstance(value, int) or value < (0 if name == "seed" else 1):
            raise InputError(f"competition.reader_settings.{name}: found {value!r}, expected a whole number")
        settings[name] = value
    return settings
