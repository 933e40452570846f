"""From plain settings to a component's frozen Config: `data.configure`, under the name that models know."""

from __future__ import annotations

from data.configure import make_settings, one_of

__all__ = ["make_settings", "one_of"]
