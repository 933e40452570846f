"""A little regular grammar of relative clauses, and clauses of an exact length drawn from it."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

#: Singular and plural of each noun; subjects and distractors are of the same ones.
NOUNS = (
    ("cat", "cats"),
    ("dog", "dogs"),
    ("mouse", "mice"),
    ("bird", "birds"),
    ("horse", "horses"),
    ("goose", "geese"),
)

_ADJECTIVES = ("small", "young", "brown", "hungry")

#: state -> its words, and the states that may follow. Everything stands once for singular and once for
#: plural nouns with the same chances, and the verbs are of the past: a clause tells nothing of its subject.
GRAMMAR: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "open": ((",",), ("which",)),
    "which": (("which",), ("adverb", "transitive", "intransitive")),
    "adverb": (("already", "often", "never", "quietly"), ("transitive", "intransitive")),
    "transitive": (("ate", "saw", "chased", "liked", "found"), ("one determiner", "many determiner")),
    "intransitive": (("slept", "ran", "hid"), ("preposition", "conjunction", "close")),
    "one determiner": (("the", "a", "that"), ("one adjective", "one noun")),
    "many determiner": (("the", "some", "two"), ("many adjective", "many noun")),
    "one adjective": (_ADJECTIVES, ("one noun",)),
    "many adjective": (_ADJECTIVES, ("many noun",)),
    "one noun": (tuple(one for one, _ in NOUNS), ("preposition", "conjunction", "close")),
    "many noun": (tuple(many for _, many in NOUNS), ("preposition", "conjunction", "close")),
    "preposition": (("near", "behind", "beside"), ("one determiner", "many determiner")),
    "conjunction": (("and", "but"), ("adverb", "transitive", "intransitive")),
    "close": ((",",), ()),
}

STATES = tuple(GRAMMAR)
OPEN, CLOSE = STATES.index("open"), STATES.index("close")
WORDS = tuple(dict.fromkeys(["The", *(word for words, _ in GRAMMAR.values() for word in words)]))

#: Words of the shortest clause: ", which slept ,".
SHORTEST = 4


def draw_clauses(words: int, count: int, generator: torch.Generator) -> Tensor:
    """(count, words) int64 places in WORDS: clauses from the opening comma to the closing one.

    The grammar's own distribution, given that the clause has this many words: the next state is drawn by
    W[s, s'] N_r[s'], where W is the chance of an edge and N_r[s] that of coming to the end in r words from s.
    """
    chances = _chances(words)  # (words - 1, states, states), cumulative
    drawn = torch.rand(count, words, 2, generator=generator, dtype=torch.float64)
    state = torch.full((count,), OPEN)
    path = [state]
    for step in range(words - 1):
        state = (drawn[:, step, :1] >= chances[step][state]).sum(1)
        path.append(state)
    states = torch.stack(path, dim=1)
    table, sizes = _words_of_states()
    return table[states, (drawn[..., 1] * sizes[states]).long()]


@lru_cache(maxsize=32)
def _chances(words: int) -> Tensor:
    """(words - 1, S, S) float64: cumulative chances of the next state, by step and state."""
    edges = torch.zeros(len(STATES), len(STATES), dtype=torch.float64)
    for state, (_, following) in GRAMMAR.items():
        for other in following:
            edges[STATES.index(state), STATES.index(other)] = 1 / len(following)
    end = torch.zeros(len(STATES), dtype=torch.float64)
    end[CLOSE] = 1.0
    steps = []
    for _ in range(words - 1):  # from the clause's end to its beginning
        weights = edges * end
        end = weights.sum(1)
        cumulative = weights.cumsum(1)
        # Divided by its own last value a row ends in exact ones, so that no state of chance 0 can be drawn.
        steps.append(cumulative / torch.where(end > 0, cumulative[:, -1], 1.0)[:, None])
        end = end / end.max()  # only ratios matter; keeps long clauses from underflowing
    assert end[OPEN] > 0, f"the grammar has no clause of {words} words"
    return torch.stack(steps[::-1])


@lru_cache(maxsize=1)
def _words_of_states() -> tuple[Tensor, Tensor]:
    """(S, most words of a state) places in WORDS, and (S,) how many words each state has."""
    places = [[WORDS.index(word) for word in words] for words, _ in GRAMMAR.values()]
    most = max(map(len, places))
    return (
        torch.tensor([row + row[:1] * (most - len(row)) for row in places]),
        torch.tensor([len(row) for row in places]),
    )
