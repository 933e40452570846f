"""sequential_pixels: which digit it is, read pixel by pixel."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from data.batch import SequenceBatch
from data.errors import InputError
from data.probes.base import PROBES, Probe
from data.probes.judged import Chance, Goal, Published
from data.probes.parts import Part

PIXELS, CLASSES, BRIGHTEST = 64, 10, 16

#: Images kept for validation, and as many for the test: the last ones of the file. Neighbours in it are
#: alike, as if by the same hand, so that images chosen at random would make an easier test.
HELD_OUT = 300

TABLE = "Bai, Kolter and Koltun 2018, arXiv 1803.01271, table 1"
MNIST = "MNIST, 784 pixels"


class Images(NamedTuple):
    """(N, 64) float brightness in 0 to 1, row by row, and (N,) int64 digits."""

    pixel: Tensor
    digit: Tensor


@lru_cache(maxsize=1)
def images() -> dict[str, Images]:
    """scikit-learn's digits (Alpaydin and Kaynak 1998, UCI test set) by part, no image in two."""
    from sklearn.datasets import load_digits  # takes a second, and only here

    values, digits = load_digits(return_X_y=True)
    pixel, digit = torch.from_numpy((values / BRIGHTEST).astype(np.float32)), torch.from_numpy(digits).long()
    ends = {"training": len(digit) - 2 * HELD_OUT, "validation": len(digit) - HELD_OUT, "test": len(digit)}
    found, start = {}, 0
    for part, end in ends.items():
        found[part] = Images(pixel[start:end], digit[start:end])
        start = end
    return found


@PROBES.register("sequential_pixels")
class SequentialPixels(Probe):
    """scikit-learn's 8 x 8 digits, one pixel a row of the window; the digit is asked at the last one.

    64 rows; a longer window (128, 192, ...) holds every pixel for as many rows, which tells nothing new but
    moves the pixels apart. Validation and test are 300 images each that training never shows, so a test batch
    has at most 300 windows. Chance is the classes' shares in the training images, about a tenth.

        pixel  0 0 .25 .50 1 .31 0 0 0 0 .56 1 .. .88 .25 0 0 0 0 .38 1 .75 .06 0 0
        target . .   .   . .   . . . . .   . . ..   .   . . . . .   . .   .   . . 8
    """

    title = "Sequential pixels"
    lengths = (64, 128, 256)
    shortest = PIXELS
    example = PIXELS
    published = (
        Published("lstm", 784, "accuracy", 0.872, TABLE, 70_000, MNIST),
        Published("gru", 784, "accuracy", 0.962, TABLE, 70_000, MNIST),
        Published("tcn", 784, "accuracy", 0.990, TABLE, 70_000, MNIST),
    )
    reals = ("pixel",)
    class_names = tuple(str(digit) for digit in range(CLASSES))

    def check_length(self, length: int, where: str = "probe.lengths") -> None:
        if length < PIXELS or length % PIXELS:
            raise InputError(f"{where}: found {length}, expected a multiple of {PIXELS} for: {self.title}")

    def order(self) -> Tensor:
        """(64,) int64: in which order the pixels are read."""
        return torch.arange(PIXELS)

    def draw(
        self, length: int, count: int, generator: torch.Generator, part: Part = "training"
    ) -> SequenceBatch:
        material = images()["training" if part == "training set" else part]
        available = len(material.digit)
        if part in ("validation", "test"):
            chosen = torch.randperm(available, generator=generator)[:count]
        else:
            chosen = torch.randint(available, (count,), generator=generator)
        pixel = material.pixel[chosen][:, self.order()].repeat_interleave(length // PIXELS, dim=1)
        judged = (torch.arange(length) == length - 1).expand(len(chosen), length)
        answer = material.digit[chosen, None].expand(len(chosen), length)
        return self.windows(answer, judged, real=pixel[..., None])

    def chance(self, length: int) -> Chance:
        """The training shares as a forecast of the test images."""
        test, shares = images()["test"].digit, self._shares()
        return Chance(float(-shares[test].log().mean()), float((test == shares.argmax()).double().mean()))

    def goal(self, length: int) -> Goal:
        """What the nearest training image reaches, less a few points."""
        return Goal(accuracy=0.9)

    def oracle(self, batch: SequenceBatch) -> Tensor:
        """The digit of the nearest training image."""
        known = images()["training"]
        pixel = batch.real[:, :: batch.rows // PIXELS, 0]
        nearest = torch.cdist(pixel, known.pixel[:, self.order()]).argmin(1)
        return self.certain(known.digit[nearest])[:, None].expand(-1, batch.rows, -1)

    def blind(self, batch: SequenceBatch) -> Tensor:
        return self._shares().log().float().expand(*batch.weight.shape, CLASSES)

    def _shares(self) -> Tensor:
        """(10,) float64 share of each digit in the training images."""
        count = images()["training"].digit.bincount(minlength=CLASSES).double()
        return count / count.sum()
