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
    """Kaggle's files where they are; else simulated ones, with files.solution and local.kind=solution.

    Raises InputError where competition.root was given and has no training file.
    """
    if find_table(folder, competition.files.train) is not None or competition.root:
        return read_files(folder, competition)
    settings = dict(SETTINGS)
    for name, value in competition.reader_settings.items():
        if name not in settings:
            raise unknown("setting", name, settings, "competition.reader_settings")
        if isinstance(value, bool) or not isinstance(value, int) or value < (0 if name == "seed" else 1):
            raise InputError(f"competition.reader_settings.{name}: found {value!r}, expected a whole number")
        settings[name] = value
    name = "ventilator-" + "-".join(str(settings[key]) for key in SETTINGS)
    simulated = folder.parent.parent / "interim" / name
    if not (simulated / "train.csv").exists():  # written last, so the others are there if it is
        write_competition(simulated, settings["train_breaths"], settings["test_breaths"], settings["seed"])
    changed = copy.deepcopy(competition)
    changed.files.train, changed.files.test = "train.csv", "test.csv"
    changed.files.sample, changed.files.solution = "sample_submission.csv", "solution.csv"
    changed.local.kind = "solution"
    return read_files(simulated, changed)
