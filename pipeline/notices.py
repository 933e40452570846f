"""What is said of members before they are trained: who is left out, and who gives no quantiles."""

from __future__ import annotations

import importlib
from collections.abc import Iterator

from pipeline.config import Config
from pipeline.names import KIND, made_members


def notices(config: Config) -> Iterator[str]:
    """One line each; none where all members do all that the competition asks for. Imports torch."""
    task = config.competition.task
    member_tasks = importlib.import_module("models.members.catalogue").member_tasks
    skipped = [name for name in config.members if task not in member_tasks(config.member[name][KIND])]
    if skipped:
        yield f"left out: {', '.join(skipped)} (not made for {task} tasks)"
    if config.competition.quantiles:
        for name, member in made_members(config):
            reason = member.points_only()
            if reason:
                yield f"no quantiles of {name}: {reason}"
