"""The loss of an epoch from the losses of its batches."""

from __future__ import annotations

from torch import Tensor


class EpochLoss:
    """Mean over all rows of an epoch, whatever batches they came in; nothing is asked of the device.

    A plain mean of batch means would count the rows of a small last batch, or of one with many rows that are
    not judged, more than others.
    """

    def __init__(self) -> None:
        self._sum: Tensor | None = None  # ()
        self._weight: Tensor | None = None  # ()

    def add(self, loss: Tensor, weight: Tensor) -> None:
        """loss: () mean over the rows of a batch, weight: (B, L) of these rows.

        Where several processes share a batch, `weight` is that of all of it and `loss` a part, so that the
        mean over the processes of `taken` is the loss of all rows.
        """
        total = weight.sum()
        part = loss.detach() * total
        self._sum = part if self._sum is None else self._sum + part
        self._weight = total if self._weight is None else self._weight + total

    def taken(self) -> Tensor:
        """() loss of all rows added; 0 where none has weight. The next epoch begins with nothing."""
        assert self._sum is not None, "no batch was added"
        assert self._weight is not None
        loss = self._sum / self._weight.where(self._weight > 0, 1.0)
        self._sum = self._weight = None
        return loss
