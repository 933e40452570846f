"""What it takes to make the run again: command, seeds, versions, settings of every member."""

from __future__ import annotations

import json
from typing import Any

from pipeline.report.markup import Section, code, pairs
from pipeline.report.material import Material
from pipeline.report.summary import versions
from pipeline.report.text import escape, listed


def section(material: Material) -> Section | None:
    """Settings are those in the manifests of the fits, so what is printed is what ran."""
    rows = [
        ("Command", code(material.command)),
        ("Seeds", escape(listed([str(seed) for seed in material.seeds])) or "none"),
        ("Versions", escape(", ".join(f"{name} {number}" for name, number in versions(material).items()))),
    ]
    rows += [
        (f"Key of {path}", code(material.manifests[path].key))
        for path in ("prepare", material.blend_path, f"submit/{material.size}")
        if path in material.manifests
    ]
    blocks = []
    for name in material.ranking:
        settings = material.members[name][0].settings
        shown = {
            key: settings[key]
            for key in ("kind", "member", "fit", "windows", "context", "loss")
            if key in settings
        }
        blocks.append(_details(name, shown))
    features: Any = next(
        (
            fits[0].settings["features"]
            for fits in material.members.values()
            if fits[0].settings.get("features")
        ),
        None,
    )
    if features:
        blocks.append(_details("features", features))
    lead = (
        "The same command on the same machine gives the same submission; every artefact's manifest holds the"
        " key, settings and inputs that it was made from."
    )
    return Section("settings", "Made with", lead, pairs(rows) + "".join(blocks))


def _details(name: str, settings: Any) -> str:
    text = json.dumps(settings, indent=2, ensure_ascii=False)
    return f"<details><summary>Settings of {escape(name)}</summary><pre>{escape(text)}</pre></details>"
