"""Members by kind: those registered as such, and every network under its own name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from data.configure import make_settings
from data.errors import unknown
from models.members.base import MEMBERS, Member
from models.members.neural import NeuralMember
from models.network import NETWORKS


def member_kinds() -> tuple[str, ...]:
    """Names of all kinds."""
    return tuple(sorted({*MEMBERS.names(), *NETWORKS.names()}))


def member_class(kind: str) -> type[Member]:
    """The class that does the work: `NeuralMember` for every network."""
    if kind in MEMBERS.names():
        return MEMBERS.get(kind)
    if kind in NETWORKS.names():
        return NeuralMember
    raise unknown("member", kind, member_kinds())


def member_tasks(kind: str) -> tuple[str, ...]:
    """The tasks (sequence, horizon) that a kind is made for."""
    return MEMBERS.get(kind).tasks if kind in MEMBERS.names() else NETWORKS.get(kind).tasks


def extras_of(kind: str) -> list[str]:
    """The extras of this project that install what a kind needs besides the requirements."""
    needs = member_class(kind).needs
    return [] if needs is None else [needs[1]]


def make_member(kind: str, settings: Mapping[str, Any]) -> Member:
    """A member of `kind`; raises InputError for unknown kinds or settings."""
    chosen = member_class(kind)
    if chosen is NeuralMember:
        make_settings(NETWORKS.get(kind).Config, settings, f"member.{kind}")
        return NeuralMember(kind, settings)
    return chosen(make_settings(chosen.Config, settings, f"member.{kind}"))
