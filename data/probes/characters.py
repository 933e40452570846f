"""characters: the next character of English text."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from data.batch import SequenceBatch
from data.errors import InputError
from data.probes.base import PROBES, Probe
from data.probes.judged import Chance, Goal
from data.probes.ngram import NGram
from data.probes.parts import Part

#: Every document is cut into so many pieces of equal length, whose parts are these: ends are lists of
#: references, beginnings titles, and each part should have some of what is between.
PIECES = 7
PART_OF_PIECE = {3: "validation", 5: "test"}  # the others: training

REPEATED = 12  # characters of a line that is kept once; shorter ones, and blank ones, are nobody's

ORDER = 4  # of the oracle
OTHER = "other"
SHOWN_AS = {" ": "␣", "\n": "⏎"}


@lru_cache(maxsize=1)
def texts() -> dict[str, str]:
    """scikit-learn's descriptions of its data sets, by part; no piece or line of a document is in two."""
    parts: dict[str, list[str]] = {"training": [], "validation": [], "test": []}
    before: set[str] = set()
    documents = (entry for entry in files("sklearn.datasets").joinpath("descr").iterdir())
    for document in sorted(documents, key=lambda entry: entry.name):
        if document.name.endswith(".rst"):
            text = _prose(document.read_text(encoding="utf-8"), before)
            ends = [round(len(text) * piece / PIECES) for piece in range(PIECES + 1)]
            for piece, (start, end) in enumerate(pairwise(ends)):
                parts[PART_OF_PIECE.get(piece, "training")].append(text[start:end])
    return {part: "\n".join(pieces) for part, pieces in parts.items()}


def _prose(text: str, before: set[str]) -> str:
    """A document without lines of code, nor those that stood `before`: these may be in another part."""
    kept = []
    for line in text.splitlines():
        bare = line.strip()
        if bare in before or bare.startswith((">>>", "...")):
            continue
        if len(bare) >= REPEATED:
            before.add(bare)
        kept.append(line.rstrip())
    return "\n".join(kept)


@lru_cache(maxsize=1)
def alphabet() -> tuple[str, ...]:
    """The characters of the training text, and one name for all others."""
    return (*sorted(set(texts()["training"])), OTHER)


@lru_cache(maxsize=3)
def coded(part: str) -> np.ndarray:
    """(N,) int64 places in `alphabet()`."""
    place = {character: index for index, character in enumerate(alphabet()[:-1])}
    return np.array([place.get(character, len(place)) for character in texts()[part]], dtype=np.int64)


@lru_cache(maxsize=4)
def ngram(order: int) -> NGram:
    """The n-gram model of the training text."""
    return NGram(coded("training"), len(alphabet()), order)


@PROBES.register("characters")
class Characters(Probe):
    """Next-character prediction on the descriptions of data sets that scikit-learn ships (36,000 characters).

    Every row shows a character and asks the next one, so only causal networks can be judged. The length is
    the window's, and the error the cross-entropy in nats over all its rows: perplexity is exp of it. Chance
    is the unigram line: the training text's frequencies on the test text. A seventh of each document is the
    test text and another one validation; test windows do not overlap, so there are only so many of them. No
    published figure is of this text.

        input  i t y ␣ o f ␣ C
        target t y ␣ o f ␣ C a
    """

    title = "Characters"
    lengths = (50, 100, 200)
    causal_only = True
    perplexity = True

    def __init__(self, config: Probe.Config | None = None) -> None:
        super().__init__(config)
        self.class_names = tuple(SHOWN_AS.get(character, character) for character in alphabet())
        self.symbols = self.class_names

    def check_length(self, length: int, where: str = "probe.lengths") -> None:
        super().check_length(length, where)
        longest = min(len(coded("validation")), len(coded("test"))) - 1
        if length > longest:
            raise InputError(f"{where}: found {length}, expected {longest} or less for: {self.title}")

    def draw(
        self, length: int, count: int, generator: torch.Generator, part: Part = "training"
    ) -> SequenceBatch:
        text = torch.from_numpy(coded("training" if part == "training set" else part))
        starts = len(text) - length  # a window reads length + 1 characters
        if part in ("validation", "test"):
            start = length * torch.randperm(-(-starts // length), generator=generator)[:count]
        else:
            start = torch.randint(starts, (count,), generator=generator)
        piece = text[start[:, None] + torch.arange(length + 1)]
        judged = torch.ones(len(start), length, dtype=torch.bool)
        return self.windows(piece[:, 1:], judged, symbol=piece[:, :-1])

    def chance(self, length: int) -> Chance:
        frequency, test = self._unigram(), coded("test")
        return Chance(
            float(-np.log(frequency[test]).mean()),
            float((test == frequency.argmax()).mean()),
            present=self.ngram_error(1),
        )

    def goal(self, length: int) -> Goal:
        """Better than counting what follows any two characters: it remembers more than that."""
        return self.goal_on(length, "test")

    def goal_on(self, length: int, part: Part) -> Goal:
        """The validation text is easier than the test text, and what is good there is not good here."""
        return Goal(error=self.ngram_error(2, part))

    def oracle(self, batch: SequenceBatch) -> Tensor:
        """No one knows the next character for sure: an n-gram model of the training text."""
        following = ngram(ORDER).probabilities(batch.category[..., 0].numpy() - 1)
        return torch.from_numpy(np.log(following))

    def blind(self, batch: SequenceBatch) -> Tensor:
        return torch.from_numpy(np.log(self._unigram())).expand(*batch.weight.shape, -1)

    def ngram_error(self, order: int, part: Part = "test") -> float:
        """Cross-entropy on the text of `part` of the n-gram model that looks at `order` characters."""
        text = coded(part)[None]
        following = ngram(order).probabilities(text[:, :-1])
        return float(-np.log(np.take_along_axis(following, text[:, 1:, None], axis=-1)).mean())

    def _unigram(self) -> np.ndarray:
        """(alphabet,) frequencies in the training text; the unseen character has its share too."""
        return ngram(0).probabilities(np.zeros((1, 1), dtype=np.int64))[0, 0]
