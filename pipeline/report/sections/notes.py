"""The data as it was read, and what was handled rather than refused."""

from __future__ import annotations

from pipeline.report.markup import Section, pairs
from pipeline.report.material import Material
from pipeline.report.text import escape

SHOWN = 30


def section(material: Material) -> Section | None:
    """Counts, then notes."""
    prepared = material.prepared
    meta, competition, panel = prepared.meta, prepared.competition, prepared.panel
    sequence = competition.task == "sequence"
    unjudged = int((panel.weight[panel.present & ~panel.test] <= 0).sum())
    rows = [
        (
            "Training rows",
            f"{meta['train_rows']:,}" + (f", of which {unjudged:,} are not judged" if unjudged else ""),
        ),
        ("Asked rows", f"{meta['asked']:,}"),
        ("Groups" if sequence else "Series", f"{meta['series']:,}"),
        ("Rows at once" if sequence else "Horizon", f"{meta['horizon']:,} rows"),
        ("Target", escape(", ".join(panel.target_name)) + _transform(competition.target_transform)),
        ("Metrics", escape(", ".join(material.metric_names))),
    ]
    notes = list(meta["notes"])
    if notes:
        items = "".join(f"<li>{escape(note)}</li>" for note in notes[:SHOWN])
        more = f"<li>and {len(notes) - SHOWN} more, in prepare/meta.json</li>" if len(notes) > SHOWN else ""
        body = pairs(rows) + f'<h3>Handled when reading</h3><ul class="notes">{items}{more}</ul>'
    else:
        body = pairs(rows) + '<p class="note">Nothing had to be mended when the files were read.</p>'
    return Section("data", "Data", "", body)


def _transform(name: str) -> str:
    return "" if name == "none" else f" (learnt as {escape(name)})"
