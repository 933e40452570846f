"""How static metadata enters a recurrent network: every mode, on a made-up task, the ventilator and Rossmann.

    python -m benchmarks.static_state [--names made_up ventilator rossmann] [--member lstm] [--seeds 3]
                                      [--data FOLDER] [--root FOLDER] [--json FILE]

The made-up task is a sequence y[t] = a[kind] y[t-1] + u[t], y[-1] = 0, of which only `u` and the static
`kind` are given: nothing but the metadata tells which of four dynamics a series follows. A network that is
not told can at best mix the four. --data is a folder with rossmann/ (left out where it is not there).

In the ventilator R and C are taken out of the other features, and the network that runs is the same
everywhere: a mode is a variant of the member, so all run on the same folds with the same settings. Scores
are out-of-fold (mean over folds) and local, the lower the better.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from models.static_state import MODES

COEFFICIENTS = (-0.9, 0.0, 0.5, 0.97)
TRAIN_SERIES, TEST_SERIES, ROWS = 600, 200, 40

MADE_UP = """
name: made_up
title: Only the metadata tells the dynamics
task: sequence
root: {root}
files: {{train: train.csv, test: test.csv, sample: null, solution: solution.csv}}
row_id: [id]
series: [series]
time: step
target: [y]
columns: {{static_categorical: [kind], known_real: [u]}}
metric: [{{name: rmse}}]
folds: {{kind: grouped, count: 3}}
local: {{kind: solution}}
submission: {{row_id: id, target: [y]}}
sizes:
  demo:
    members: [lstm]
    fit: {{max_epochs: 30, batch_size: 32, learning_rate: 0.005}}
"""

#: What a competition's run is told besides its name and the members.
WORDS: dict[str, tuple[str, ...]] = {
    "made_up": ("fit.folds=null",),
    # `cross` is R x C as a known category, which would tell every network; so would the grouped medians
    "ventilator": ("competition.features.cross=null", "fit.folds=[0]", "fit.max_epochs=6"),
    "rossmann": ("competition.folds.count=1", "windows.per_epoch=3000", "fit.max_epochs=3"),
}


def write_made_up(folder: Path, seed: int = 0) -> None:
    """Train, test and solution of the made-up task."""
    generator = np.random.default_rng(seed)
    series = TRAIN_SERIES + TEST_SERIES
    kind = generator.integers(len(COEFFICIENTS), size=series)
    u = generator.normal(size=(series, ROWS))
    y = np.zeros((series, ROWS))
    for step in range(ROWS):
        before = y[:, step - 1] if step else 0.0
        y[:, step] = np.asarray(COEFFICIENTS)[kind] * before + u[:, step]
    table = pd.DataFrame(
        {
            "id": np.arange(series * ROWS),
            "series": np.repeat(np.arange(series), ROWS),
            "step": np.tile(np.arange(ROWS), series),
            "kind": np.repeat([f"k{code}" for code in kind], ROWS),
            "u": u.ravel(),
            "y": y.ravel(),
        }
    )
    folder.mkdir(parents=True, exist_ok=True)
    test = table["series"] >= TRAIN_SERIES
    table[~test].to_csv(folder / "train.csv", index=False)
    table[test].drop(columns="y").to_csv(folder / "test.csv", index=False)
    table.loc[test, ["id", "y"]].to_csv(folder / "solution.csv", index=False)


def write_conf(folder: Path, member: str, data: Path) -> list[str]:
    """A variant of the member for each mode and the made-up competition; the variants' names."""
    (folder / "member").mkdir(parents=True)
    (folder / "competition").mkdir()
    names = [f"{member}_{mode}" for mode in MODES]
    for name, mode in zip(names, MODES, strict=True):
        (folder / "member" / f"{name}.yaml").write_text(f"kind: {member}\nstatic_state: '{mode}'\n")
    (folder / "competition" / "made_up.yaml").write_text(MADE_UP.format(root=data))
    return names


def run(name: str, names: list[str], conf: Path, options: argparse.Namespace) -> dict[str, Any] | None:
    """Scores of every mode in one competition; None where its files are not there."""
    words = [f"competition={name}", f"members=[{','.join(names)}]", f"root={options.root.resolve()}"]
    words += [f"fit.seeds={options.seeds}", "fit.refit=none", *WORDS[name]]
    if name == "rossmann":
        if not (options.data / name).is_dir():
            print(f"{name}: {options.data / name} is not there; left out", file=sys.stderr)
            return None
        words.append(f"competition.root={(options.data / name).resolve()}")
    subprocess.run([sys.executable, "-m", "pipeline.run", "--config-dir", str(conf), *words], check=True)
    file = options.root / "artifacts" / name / "report" / "summary.json"
    summary = json.loads(file.read_text())
    return {
        "metric": summary["metric"],
        "modes": {
            mode: {
                key: summary["members"][member][key] for key in ("cv_mean", "cv_std", "local", "parameters")
            }
            for mode, member in zip(MODES, names, strict=True)
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--names", nargs="*", choices=list(WORDS), default=list(WORDS))
    parser.add_argument("--member", default="lstm", help="any member that has the setting static_state")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data", type=Path, default=Path("data/files/raw"))
    parser.add_argument("--root", type=Path, default=Path())
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory() as temporary:
        made_up = options.root.resolve() / "data/files/interim/made_up"
        write_made_up(made_up)
        names = write_conf(Path(temporary) / "conf", options.member, made_up)
        for name in options.names:
            scores = run(name, names, Path(temporary) / "conf", options)
            if scores is not None:
                found[name] = scores
    for name, scores in found.items():
        print(f"\n{name}, {options.member}, {scores['metric']}, {options.seeds} seeds")
        print(f"{'static_state':<14}{'out of fold':>13}{'over folds':>13}{'local':>10}{'parameters':>13}")
        for mode, row in scores["modes"].items():
            spread = f"± {row['cv_std']:.4f}" if row["cv_std"] is not None else "-"
            local = f"{row['local']:.4f}" if row["local"] is not None else "-"
            print(f"{mode:<14}{row['cv_mean']:>13.4f}{spread:>13}{local:>10}{row['parameters']:>13,}")
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
