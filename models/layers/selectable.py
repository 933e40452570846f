"""Which variables a row has to select from: all of them before the origin, and after it those known there."""

from __future__ import annotations

from typing import NamedTuple

from data.schema import InputSchema

#: Name of the variable that says how far a row is from the origin, in lengths of a window.
STEP = "step from the origin"

EVERYWHERE = 2**31  # the reach of what is known for the whole horizon


class Columns(NamedTuple):
    """Which variables a row before the origin has (all), and which one from the origin on."""

    name: tuple[str, ...]  # of all: reals, the step, categories
    real: tuple[int, ...]  # columns of batch.real
    known_real: tuple[int, ...]  # places in `real`, and behind its end the step
    known_category: tuple[int, ...]  # columns of batch.category
    reach: tuple[int, ...]  # of each known variable

    @property
    def known_name(self) -> tuple[str, ...]:
        """Of those that a row from the origin on has."""
        categories = [len(self.real) + 1 + column for column in self.known_category]
        return tuple(self.name[place] for place in (*self.known_real, *categories))


def columns_of(schema: InputSchema) -> Columns:
    """Indicators of availability are no variables: what they say is which of the others have a weight."""
    reach, category_reach = schema.reaches()
    real = [index for index, name in enumerate(schema.real) if not name.startswith("available.")]
    reals = [*(reach[index] for index in real), None]  # the step is known
    known = [place for place, value in enumerate(reals) if value is None or value > 0]
    categories = [place for place, value in enumerate(category_reach) if value is None or value > 0]
    reaches = [*(reals[place] for place in known), *(category_reach[place] for place in categories)]
    return Columns(
        (*(schema.real[index] for index in real), STEP, *schema.category),
        tuple(real),
        tuple(known),
        tuple(categories),
        tuple(EVERYWHERE if value is None else value for value in reaches),
    )
