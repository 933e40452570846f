"""Heads: what the P outputs of a target mean. One family a file, found by name through HEADS.

A head is a map without parameters of its own; the network's last layer belongs to the network. To add one,
register a class here or in a plugin.
"""

from models.heads.base import (
    HEADS,
    Head,
    TrainingTargets,
    choose_head,
    head_config,
    head_name,
    refuse_mixup,
    refuse_transform,
    resolved_head,
)
from models.heads.point import PointHead
from models.heads.quantile import QuantileHead

__all__ = [
    "HEADS",
    "Head",
    "PointHead",
    "QuantileHead",
    "TrainingTargets",
    "choose_head",
    "head_config",
    "head_name",
    "refuse_mixup",
    "refuse_transform",
    "resolved_head",
]
