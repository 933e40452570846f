"""What the built-in competitions reach: score, time and memory of the whole command, beside the baselines.

    python benchmarks/competitions.py [--size quick] [--names rossmann m4_hourly etth1 ventilator]
                                      [--data FOLDER] [--root FOLDER] [--json FILE]
                                      [--members all|NAME ...] [--words fit.folds=[0] ...]

Each competition is run as a user would run it, in a process of its own; finished artefacts under --root are
used again, and then the seconds are those of the run that made them. --data is a folder with
rossmann/, m4_hourly/ and etth1/ or long_horizon/ (default: data/files/raw); a competition whose files are not
there is left out. CPU seconds are those of the command and its workers, whatever else the machine does.
--members all runs every member that needs no settings of its own; `benchmarks/networks.py --scores` makes a
table of what that leaves.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

WIDTHS = (14, 8, 10, 24, 10, 7, 7, 8)

#: Needs no files: it is simulated.
ALWAYS = ("ventilator",)

#: Where a competition's files may be, besides a folder of its own name.
SHARED = {"etth1": "long_horizon"}

#: By the deciding metric: what others report on the same rows, and where.
PUBLISHED = {
    "m4_hourly": [
        ("best entry of M4 (Hourly)", 0.410, "M4 competition, Makridakis et al. 2020"),
        ("AutoGluon medium_quality, 384 s", 0.488, "run on the same files"),
    ],
    "rossmann": [("AutoGluon medium_quality, 238 s", 0.1525, "run on the same hold-out")],
    "etth1": [
        ("PatchTST/64, lookback 512", 0.370, "Nie et al. 2023, arXiv 2211.14730"),
        ("NLinear, lookback 336", 0.374, "Zeng et al. 2023, arXiv 2205.13504"),
        ("iTransformer, lookback 96", 0.386, "Liu et al. 2024, arXiv 2310.06625"),
    ],
}

#: They cannot run without settings: columns to group by, a teammate's files, mixers.
NEED_SETTINGS = ("group_median", "external", "stack")


def every_member() -> list[str]:
    """Members that run as they are; a competition leaves out those that are not made for its task."""
    from models.members.catalogue import member_kinds

    return [name for name in member_kinds() if name not in NEED_SETTINGS]


def run(name: str, size: str, root: Path, data: Path, more: list[str]) -> dict[str, Any] | None:
    """The summary of one competition's run; None where its files are not there."""
    words = [f"competition={name}", f"size={size}", f"root={root}", *more]
    if name not in ALWAYS:
        places = [data / folder for folder in (name, SHARED.get(name, name))]
        found = next((place for place in places if place.is_dir()), None)
        if found is None:
            print(f"{name}: {places[-1]} is not there; left out", file=sys.stderr)
            return None
        words.append(f"competition.root={found}")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "pipeline.run", *words], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    summary: dict[str, Any] = json.loads((root / "artifacts" / name / "report" / "summary.json").read_text())
    summary["cpu_seconds"] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return summary


def figures(summary: dict[str, Any]) -> dict[str, Any]:
    """The numbers that count: local scores of the blend, the best member by local score, time, memory."""
    members = {name: member["local"] for name, member in summary["members"].items()}
    best = min((name for name in members if members[name] is not None), key=lambda name: members[name])
    return {
        **summary["local_score"],
        "seconds": sum(summary["stage_seconds"].values()),
        "cpu_seconds": summary["cpu_seconds"],
        "peak_memory_mib": summary["peak_memory_mib"],
        "best_member": {"name": best, "local": members[best]},
        "baselines": summary["baselines"],
        "rows": summary["submission"]["rows"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--names", nargs="*", default=["ventilator", "rossmann", "m4_hourly", "etth1"])
    parser.add_argument("--size", default="quick")
    parser.add_argument("--data", type=Path, default=Path("data/files/raw"))
    parser.add_argument("--root", type=Path, default=Path())
    parser.add_argument("--json", type=Path, help="write the figures here too")
    parser.add_argument("--members", nargs="*", help="instead of the size's; all: every one")
    parser.add_argument("--words", nargs="*", default=[], help="further words of the command line")
    options = parser.parse_args()
    more = list(options.words)
    if options.members:
        members = every_member() if options.members == ["all"] else options.members
        more.append(f"members=[{','.join(members)}]")
    found = {}
    for name in options.names:
        summary = run(name, options.size, options.root.resolve(), options.data.resolve(), more)
        if summary is not None:
            found[name] = {"metric": summary["metric"], **figures(summary)}
    head = ("", "metric", "blend", "best member", "baseline", "s", "CPU s", "MiB")
    print("\n" + "".join(f"{word:>{width}}" for word, width in zip(head, WIDTHS, strict=True)))
    for name, row in found.items():
        best = f"{row['best_member']['name']} {row['best_member']['local']:.4g}"
        baseline = min(
            (value for value in row["baselines"].values() if value is not None), default=float("nan")
        )
        row_of_table = (
            name,
            row["metric"],
            f"{row[row['metric']]:.4g}",
            best,
            f"{baseline:.4g}",
            f"{row['seconds']:.0f}",
            f"{row['cpu_seconds']:.0f}",
            f"{row['peak_memory_mib']:.0f}",
        )
        print("".join(f"{cell:>{width}}" for cell, width in zip(row_of_table, WIDTHS, strict=True)))
    for name, row in found.items():
        for who, figure, source in PUBLISHED.get(name, ()):
            print(f"{name}: {row['metric']} {figure:.4g} of {who} ({source})")
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
