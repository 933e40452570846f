"""Interpolated n-gram model of characters: the oracle, and at order 0 the chance line, of `characters`."""

from __future__ import annotations

import numpy as np


class NGram:
    """Witten-Bell interpolation (Witten and Bell 1991; Chen and Goodman 1999), orders 0 to `order`:

        p_k(c | w) = (n(w c) + T(w) p_{k-1}(c | w')) / (n(w) + T(w))

    where w is the k characters before c, w' all but the first of them, n a count in the training text and
    T(w) how many different characters follow w there; p_{-1} is uniform. An unseen w leaves p_{k-1} as it is.
    """

    def __init__(self, text: np.ndarray, characters: int, order: int) -> None:
        """text: (N,) codes below `characters`."""
        self.characters = characters
        self.order = order
        self._contexts: list[np.ndarray] = []  # of each order: sorted keys
        self._counts: list[np.ndarray] = []  # (contexts, characters)
        for length in range(order + 1):
            key = self._keys(text[None], length)[0, length:]
            contexts, which = np.unique(key, return_inverse=True)
            count = np.zeros((len(contexts), characters), dtype=np.float32)
            np.add.at(count, (which, text[length:]), 1.0)
            self._contexts.append(contexts)
            self._counts.append(count)

    def probabilities(self, text: np.ndarray) -> np.ndarray:
        """(B, L) codes -> (B, L, characters): of the character that follows, given the row up to here."""
        following = np.full((*text.shape, self.characters), 1 / self.characters)
        moved = np.concatenate([text, text[:, -1:]], axis=1)  # its last column is read by nobody
        for length in range(self.order + 1):
            key = self._keys(moved, length)[:, 1:]
            contexts = self._contexts[length]
            place = np.searchsorted(contexts, key).clip(max=len(contexts) - 1)
            known = contexts[place] == key
            known[:, : max(length - 1, 0)] = False  # fewer characters before than the order asks for
            count = self._counts[length][place] * known[..., None]
            different = (count > 0).sum(-1, keepdims=True)
            total = count.sum(-1, keepdims=True) + different
            mixed = (count + different * following) / np.where(total > 0, total, 1)
            following = np.where(total > 0, mixed, following)
        return following

    def _keys(self, text: np.ndarray, length: int) -> np.ndarray:
        """(B, L) int64: the `length` characters before each place as one number; wrong at the first ones."""
        key = np.zeros(text.shape, dtype=np.int64)
        for back in range(length, 0, -1):
            before = np.zeros_like(key)
            before[:, back:] = text[:, :-back]
            key = key * self.characters + before
        return key
