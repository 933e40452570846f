"""Small expressions over raw columns, as competitions write them: `Open == 1 and Sales > 0`."""

from __future__ import annotations

import numpy as np

Masks = dict[str, np.ndarray]  # expression: (R,) bool
