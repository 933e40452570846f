"""What a study costs, and what pruning saves: a few trials on some of Rossmann's stores at size=demo.

    python benchmarks/tuning.py [--data FOLDER] [--root FOLDER] [--stores 100] [--trials 20] [--folds 3]
                                [--members bilstm ...] [--prune epochs folds none] [--json FILE]
                                [--words tune.sampler=random ...]

--data is the folder with the competition's files (default: data/files/raw/rossmann); those of the first
--stores stores are copied below --root and are what the command reads. Each way of pruning is a command of
its own, as a user would run it, with artefacts of its own. A fit that was broken off counts by its epochs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd

FILES = ("train", "test", "store", "sample_submission")
#: Networks that two processor cores fit in seconds; without it half of the trials would be of a hidden size
#: of 128 or 256.
NARROWED = {
    "bilstm": ["tune.space.bilstm.hidden={choices: [16, 32, 64]}", "tune.space.bilstm.layers={high: 2}"]
}
COLUMNS = ("trials", "pruned", "fold fits", "saved", "share", "seconds", "overhead s", "gain", "+-", "kept")


def write_stores(data: Path, folder: Path, stores: int) -> None:
    """The competition's files with the rows of the stores 1 to `stores` only."""
    folder.mkdir(parents=True, exist_ok=True)
    tables = {}
    for name in FILES:
        found = [file for file in sorted(data.glob(f"{name}.csv*")) if file.suffix != ".md5"]
        if not found:
            sys.exit(f"error: {data / name}.csv is not there; --data is the folder with Rossmann's files")
        tables[name] = pd.read_csv(found[0], dtype=str, keep_default_na=False)
    for name in ("train", "test", "store"):
        tables[name] = tables[name][tables[name]["Store"].astype(int) <= stores]
    asked = set(tables["test"]["Id"])
    tables["sample_submission"] = tables["sample_submission"][tables["sample_submission"]["Id"].isin(asked)]
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False)


def study(options: argparse.Namespace, member: str, prune: str, data: Path, root: Path) -> dict[str, Any]:
    """best.json of one study, with the seconds of the whole command."""
    words = [
        "stage=tune",
        "competition=rossmann",
        "size=demo",
        f"competition.root={data}",
        f"competition.folds.count={options.folds}",
        "fit.folds=null",
        "windows.per_epoch=null",  # as many as do not overlap: those of the size are for all stores
        f"members=[{member}]",
        f"tune.trials={options.trials}",
        f"tune.prune={prune}",
        f"root={root}",
        *NARROWED.get(member, ()),
        *options.words,
    ]
    started = time.monotonic()
    subprocess.run([sys.executable, "-m", "pipeline.run", *words], check=True, stdout=sys.stderr)
    seconds = time.monotonic() - started
    file = root / "artifacts" / "rossmann" / "tune" / member / "best.json"
    best: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    best["command_seconds"] = round(seconds, 1)
    best["saved_share"] = best["fold_fits_saved"] / (best["trials"] * best["folds"])
    best.pop("top")
    return best


def line(name: str, best: dict[str, Any]) -> str:
    """A row of the table."""
    gain, error = best["gain"], best["gain_standard_error"]
    cells = [
        str(best["trials"]),
        str(best["pruned"]),
        f"{best['fold_fits']:.1f}",
        f"{best['fold_fits_saved']:.1f}",
        f"{best['saved_share']:.0%}",
        f"{best['command_seconds']:.0f}",
        f"{best['overhead_seconds']:.2f}",
        "-" if gain is None else f"{gain:.4f}",
        "-" if error is None else f"{error:.4f}",
        "yes" if best["kept"] else "no",
    ]
    return f"{name:<20}" + "".join(f"{cell:>12}" for cell in cells)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("data/files/raw/rossmann"))
    parser.add_argument("--root", type=Path, help="default: a folder that is removed at the end")
    parser.add_argument("--stores", type=int, default=100)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--members", nargs="+", default=["bilstm"])
    parser.add_argument("--prune", nargs="+", default=["epochs"], choices=["epochs", "folds", "none"])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--words", nargs="*", default=[], help="further words of the command")
    options = parser.parse_args()
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        root = options.root or Path(scratch)
        data = root / f"stores{options.stores}"
        write_stores(options.data, data, options.stores)
        for member in options.members:
            for prune in options.prune:
                name = f"{member}, {prune}"
                results[name] = study(options, member, prune, data, root / prune)
    print(f"{'':<20}" + "".join(f"{column:>12}" for column in COLUMNS))
    for name, best in results.items():
        print(line(name, best))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
