"""Counting: equal to Witten and Bell's formula written out, byte by byte."""

import re
from collections import Counter
from math import log

import pytest

from hwdse.ngrams import loss

TEXT = b"the cat sat on the mat. the rat sat on the hat, and that was that."


def likely(known: bytes, before: bytes, byte: int) -> float:
    """The probability of `byte` after `before`, by the definition."""
    shorter = 1 / 256 if not before else likely(known, before[1:], byte)
    if not before:
        after = Counter(known)
    else:
        n = len(before)
        after = Counter(known[i + n] for i in range(len(known) - n) if known[i : i + n] == before)
    if not after:
        return shorter
    return (after[byte] + len(after) * shorter) / (sum(after.values()) + len(after))


@pytest.mark.parametrize("order", [0, 1, 2, 4])
def test_as_defined(order: int) -> None:
    start, known = 45, 40
    # The shorter context of a context is the one without its first byte; the empty one is that of order 0.
    expected = [-log(_at(order, known, i)) for i in range(start, len(TEXT))]
    assert loss(TEXT, known, start, order) == pytest.approx(sum(expected) / len(expected), rel=1e-12)


def _at(order: int, known: int, i: int) -> float:
    return likely(TEXT[:known], TEXT[i - order : i], TEXT[i])


def test_a_text_that_is_known_to_the_end_leaves_nothing_to_predict() -> None:
    message = "bytes are predicted after those that are counted, not 66 of 66 by 40"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        loss(TEXT, 40, len(TEXT), 2)
