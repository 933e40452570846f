"""Whether a batch wants nothing but the last row of its windows."""

from __future__ import annotations

from data.batch import SequenceBatch


def wants_last_row_only(batch: SequenceBatch) -> bool:
    """Whether no window is padded and none but its last row is asked or counts in the loss.

    No on a GPU, whatever the batch holds: the answer would be waited for, and rows cost little there.
    """
    if batch.length.is_cuda:
        return False
    earlier = batch.asked[:, :-1] | (batch.weight[:, :-1] > 0)
    return bool((batch.length == batch.rows).all()) and not bool(earlier.any())
