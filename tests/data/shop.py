"""A tiny competition with every kind of column, as text files that a test can break in one place."""

from __future__ import annotations

from pathlib import Path

import yaml
from omegaconf import OmegaConf

from data.build_panel import build_panel
from data.competition import Competition
from data.panel import Panel

CONF = Path(__file__).resolve().parents[2] / "pipeline" / "conf" / "competition"

TRAIN = """shop,date,sales,visitors,open,holiday,price
1,2020-01-01,5,50,1,0,1.5
1,2020-01-02,6,60,1,0,1.5
1,2020-01-03,0,0,0,a,1.5
2,2020-01-01,7,70,1,0,2.5
2,2020-01-03,8,80,1,0,2.0
"""
TEST = """row,shop,date,open,holiday,price
11,1,2020-01-04,1,0,1.5
12,1,2020-01-05,0,0,1.5
21,2,2020-01-04,1,0,2.0
22,2,2020-01-05,1,0,2.0
"""
SHOP = """shop,kind,area
1,x,10
2,y,20
3,z,30
"""
SAMPLE = "row,sales\n11,0\n12,0\n21,0\n22,0\n"
SOLUTION = "row,sales\n22,4\n21,0\n12,2\n11,1\n"
FILES = {
    "train.csv": TRAIN,
    "test.csv": TEST,
    "shop.csv": SHOP,
    "sample_submission.csv": SAMPLE,
    "solution.csv": SOLUTION,
}
SETTINGS = """
name: shops
task: horizon
joins: [{file: shop.csv, key: [shop]}]
files: {solution: solution.csv}
row_id: [row]
series: [shop]
time: date
frequency: D
target: [sales]
columns:
  static_categorical: [kind]
  static_real: [area]
  known_categorical: [holiday]
  known_real: [open, price]
  past_real: [visitors]
horizon: 2
metric: [{name: mae}]
judged: open == 1 and sales > 0
post: [{kind: zero_where, settings: {where: open == 0}}]
submission: {row_id: row}
"""


def competition(*changes: str, base: str = SETTINGS) -> Competition:
    """The competition with YAML `changes` merged in, checked against the schema as a run does."""
    merged = OmegaConf.merge(
        OmegaConf.structured(Competition),
        OmegaConf.create(yaml.safe_load(base)),
        *(OmegaConf.create(yaml.safe_load(change)) for change in changes),
    )
    result = OmegaConf.to_object(merged)
    assert isinstance(result, Competition)
    return result


def built_in(name: str, *changes: str) -> Competition:
    """A competition of conf/."""
    return competition(*changes, base=(CONF / f"{name}.yaml").read_text())


def write(folder: Path, files: dict[str, str | None] | None = None) -> Path:
    """The files of the competition with some of them replaced (None: left out)."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (FILES | (files or {})).items():
        if content is not None:
            (folder / name).write_text(content)
    return folder


def panel(folder: Path, *changes: str, files: dict[str, str | None] | None = None) -> Panel:
    """The panel of the written files."""
    return build_panel(competition(*changes), write(folder, files))
