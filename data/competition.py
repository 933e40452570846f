"""What a competition is, as data: the schema of `conf/competition/<name>.yaml`.

These dataclasses are the structured config that every competition YAML is checked against, our own and
those from `--config-dir`. What YAML cannot say goes into one reader function (`data.sources`), which gets
the folder and this object and returns the raw tables.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

TASKS = ("sequence", "horizon")


@dataclass
class Files:
    """File names inside the competition's folder; .csv, .csv.gz, .zip and .parquet are found alike."""

    train: str = "train.csv"
    test: str | None = "test.csv"  # null: the horizon after each series' end is asked
    sample: str | None = "sample_submission.csv"
    solution: str | None = None  # truth of the test rows, where it is known; used for the local score only


@dataclass
class Join:
    """A further file, joined to train and test rows by key (many rows to one)."""

    file: str = "???"
    key: list[str] = field(default_factory=list)  # columns that both have (`on` would be YAML's true)
    columns: list[str] | None = None  # null: all of them
    optional: bool = False  # the file may be absent; its columns (to be named) are then missing everywhere


@dataclass
class Columns:
    """Roles of the input columns. A column not named here is not read by any model.

    A column that only the training or only the test file has needs a role, or must stand under `ignored`.
    """

    static_categorical: list[str] = field(default_factory=list)
    static_real: list[str] = field(default_factory=list)
    known_categorical: list[str] = field(default_factory=list)  # known in the future too
    known_real: list[str] = field(default_factory=list)
    past_categorical: list[str] = field(default_factory=list)  # observed only in the past
    past_real: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)  # known to be there, and not used


@dataclass
class Metric:
    """A metric by name; the first of a competition's list is the one that decides."""

    name: str = "???"
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass
class Folds:
    """How out-of-fold predictions are made."""

    kind: str = "rolling"  # rolling, block, grouped, stratified_grouped, file
    count: int = 3  # cut-offs (rolling) or groups of series
    gap: int = 0  # rows left out between training part and cut-off
    step: int | None = None  # rows between two cut-offs; null: the horizon
    rows: int | None = None  # block: rows of each, all of which are asked; null: the horizon
    dates: list[str] = field(default_factory=list)  # rolling: cut-offs as dates instead (first asked day)
    stratify: list[str] = field(default_factory=list)  # static columns whose mix every fold keeps
    group: list[str] = field(default_factory=list)  # grouped: static columns kept together; []: the series
    file: str | None = None  # kind=file: the CSV that folds were exported to
    seed: int = 0


@dataclass
class Local:
    """The hold-out that is cut like the test set and enters no fit, fold, tuning or blend weight."""

    # none, solution (truth of the test rows), horizon (last rows), groups (a share of series)
    kind: str = "none"
    series: str = "all"  # horizon: all series, or those of the test file (test)
    share: float = 0.1  # groups
    cutoffs: str = "1"  # horizon: number of origins, or all
    stride: int = 1  # horizon: rows between origins when cutoffs is more than 1
    rows: int | None = None  # horizon: rows held out in all when cutoffs=all; null: the horizon


@dataclass
class Submission:
    """Layout of the CSV."""

    row_id: str | None = None  # name of the id column; null: the columns of row_id one by one
    target: list[str] = field(default_factory=list)  # names of the prediction columns; []: the targets'
    decimals: int | None = None


@dataclass
class Post:
    """Post-processing of predictions in original units, in this order of the list."""

    kind: str = "???"  # clip, grid, integer, zero_where (more by registry)
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass
class Competition:
    """One forecasting competition. Attributes are those of the YAML; see each comment."""

    name: str = "???"
    title: str = ""
    kaggle: str | None = None  # its name in the address on kaggle.com, for submit.push
    task: str = "horizon"  # sequence: groups of rows given whole; horizon: the rows after a series' history
    root: str | None = None  # folder with the files; null: data/files/raw/<name>
    reader: str | None = None  # name of a registered reader (or plugin) for what YAML cannot say
    reader_settings: dict[str, Any] = field(default_factory=dict)
    files: Files = field(default_factory=Files)
    joins: list[Join] = field(default_factory=list)
    row_id: list[str] = field(default_factory=list)  # columns of the id; []: those of series and time
    row_id_separator: str = "_"  # joins several id columns to one id
    series: list[str] = field(default_factory=list)  # columns that name a series or group; []: one series
    time: str | None = None  # time column; sequence tasks: sorts the rows of a group
    date_format: str | None = None
    # pandas offset alias (D, h, MS, ...); null: time counts whole steps, or is irregular
    frequency: str | None = None
    target: list[str] = field(default_factory=list)
    missing_target: str = "refuse"  # NaN in the target of a training row: refuse, or unjudged (weight 0)
    fill: dict[str, Any] = field(default_factory=dict)  # column: constant for its missing values
    derive: dict[str, str] = field(default_factory=dict)  # new column: expression over the joined raw columns
    columns: Columns = field(default_factory=Columns)
    horizon: int | None = None  # null: as long as the test file asks
    context: int | None = None  # rows before the origin that a window shows; null: 2 x horizon
    seasonality: list[int] = field(default_factory=list)  # in rows, the main one first
    target_transform: str = "none"  # none, log1p, log, sqrt
    quantiles: list[float] = field(default_factory=list)  # forecast beside the point, in rising order
    metric: list[Metric] = field(default_factory=list)
    judged: str | None = None  # expression over raw columns: rows where it is false have weight 0
    weight: str | None = None  # column with weights of rows
    folds: Folds = field(default_factory=Folds)
    local: Local = field(default_factory=Local)
    submission: Submission = field(default_factory=Submission)
    post: list[Post] = field(default_factory=list)
    features: dict[str, Any] = field(default_factory=dict)  # name: settings (kind: if the name differs)
    baselines: dict[str, Any] = field(default_factory=dict)  # member name: settings
    sizes: dict[str, Any] = field(default_factory=dict)  # size: overrides of the whole configuration
