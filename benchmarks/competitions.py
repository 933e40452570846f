"""What the built-in competitions reach: score, time and memory of the whole command, beside the baselines.

    python benchmarks/competitions.py [--size quick] [--names rossmann m4_hourly ventilator]
                                      [--data FOLDER] [--root FOLDER] [--json FILE]
                                      [--members all|NAME ...] [--words fit.folds=[0] ...]

Each competition is run as a user would run it, in a process of its own; finished artefacts under --root are
used again, and then the seconds are those of the run that made them. --data is a folder with
rossmann/ and m4_hourly/ (default: data/files/raw); a competition whose files are not there is left out.
--members all runs every member that needs no settings of its own; `benchmarks/networks.py --scores` makes a
table of what that leaves.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

WIDTHS = (14, 8, 10, 24, 10, 7, 8)

#: Needs no files: it is simulated.
ALWAYS = ("ventilator",)

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
        if not (data / name).is_dir():
            print(f"{name}: {data / name} is not there; left out", file=sys.stderr)
            return None
        words.append(f"competition.root={data / name}")
    subprocess.run([sys.executable, "-m", "pipeline.run", *words], check=True)
    summary: dict[str, Any] = json.loads((root / "artifacts" / name / "report" / "summary.json").read_text())
    return summary


def figures(summary: dict[str, Any]) -> dict[str, Any]:
    """The numbers that count: local scores of the blend, the best member by local score, time, memory."""
    members = {name: member["local"] for name, member in summary["members"].items()}
    best = min((name for name in members if members[name] is not None), key=lambda name: members[name])
    return {
        **summary["local_score"],
        "seconds": sum(summary["stage_seconds"].values()),
        "peak_memory_mib": summary["peak_memory_mib"],
        "best_member": {"name": best, "local": members[best]},
        "baselines": summary["baselines"],
        "rows": summary["submission"]["rows"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--names", nargs="*", default=["ventilator", "rossmann", "m4_hourly"])
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
    head = ("", "metric", "blend", "best member", "baseline", "s", "MiB")
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
            f"{row['peak_memory_mib']:.0f}",
        )
        print("".join(f"{cell:>{width}}" for cell, width in zip(row_of_table, WIDTHS, strict=True)))
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
