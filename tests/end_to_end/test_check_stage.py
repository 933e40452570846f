"""stage=check as a user meets it: where it stands in a run, what it reads, what it prints and refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import yaml

from tests.end_to_end.command import here
from tests.end_to_end.conftest import Done


def test_it_stands_before_training_and_reads_no_truth(shops: Done, breaths: Done) -> None:
    out = shops.finished.out
    assert out.index("\nfeatures ") < out.index("\ncheck ") < out.index("\ntrain ")
    assert "         nothing suspicious\n" in out
    inputs = json.loads((shops.root.artifacts / "check/demo/manifest.json").read_text())["inputs"]
    assert set(inputs) == {"prepare", "features/calendar", "features/rolling"}
    inputs = json.loads((breaths.root.artifacts / "check/demo/manifest.json").read_text())["inputs"]
    assert (breaths.root.artifacts / "solution").is_dir()
    assert set(inputs) == {"prepare"} | {path for path in inputs if path.startswith("features/")}
    page = (shops.root.artifacts / "report/index.html").read_text()
    assert 'id="checks"' in page
    assert "found nothing suspicious" in page


def test_alone_it_prints_a_line_a_finding_and_ends_the_run_only_if_asked(
    shop_words: list[str], tmp_path: Path
) -> None:
    """A column that is the target in other words, and empty in the test file."""
    conf = Path(shop_words[1])
    shutil.copytree(conf.parent / "raw", tmp_path / "raw")
    train, test = (pd.read_csv(tmp_path / "raw" / f"{name}.csv") for name in ("train", "test"))
    train.assign(profit=train["sales"] * 0.2).to_csv(tmp_path / "raw" / "train.csv", index=False)
    test.assign(profit=0.0).to_csv(tmp_path / "raw" / "test.csv", index=False)
    settings = yaml.safe_load((conf / "competition" / "shops.yaml").read_text())
    settings["root"] = str(tmp_path / "raw")
    settings["columns"]["known_real"].append("profit")
    (tmp_path / "conf" / "competition").mkdir(parents=True)
    (tmp_path / "conf" / "competition" / "shops.yaml").write_text(yaml.safe_dump(settings))
    words = [
        "--config-dir",
        str(tmp_path / "conf"),
        "competition=shops",
        "executor.name=inline",
        "stage=check",
    ]
    done = here(*words, f"root={tmp_path}")
    assert done.code == 0, done.err
    assert "         warning: the column profit alone gives sales away (R\u00b2 of ranks" in done.out
    assert not (tmp_path / "artifacts" / "shops" / "train").exists()
    done = here(*words, f"root={tmp_path}", "check.fatal=true")
    assert done.code == 2
    assert done.err.startswith("error: check.fatal: the column profit alone gives sales away")
    assert len(done.err.splitlines()) == 1
