"""What counting bytes predicts of a text: what the perplexity of a language model is to be judged beside."""

import numpy as np
from numpy.typing import NDArray

BYTES = 256


def loss(content: bytes, known: int, start: int, order: int) -> float:
    """Mean cross entropy (nat) of the bytes `content[start:]`, each given the `order` before it.

    The counts are of `content[:known]`. A context of n bytes takes over from the shorter one by as much as it has been
    followed by the same few bytes again and again (Witten and Bell 1991, IEEE Transactions on Information Theory
    37:1085, method C), down to all bytes being equally likely.
    """
    if not order <= known <= start < len(content):
        raise ValueError(f"bytes are predicted after those that are counted, not {start} of {len(content)} by {known}")
    text = np.frombuffer(content, np.uint8).astype(np.int64)
    likely = np.full(len(text) - start, 1 / BYTES)
    for length in range(order + 1):
        likely = _longer(text, known, start, length, likely)
    return float(-np.log(likely).mean())


def _longer(
    text: NDArray[np.int64], known: int, start: int, length: int, shorter: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The probabilities of the bytes from `start` on in contexts of `length`, from those in contexts one shorter."""
    contexts = np.zeros(len(text) - length, np.int64)  # of the byte at `length`, and of those after it
    for back in range(1, length + 1):
        contexts += text[length - back : len(text) - back] * BYTES**back
    pairs = contexts + text[length:]
    learnt, asked = slice(0, known - length), slice(start - length, None)
    seen, times = np.unique(pairs[learnt], return_counts=True)
    kinds = _look_up(*np.unique(seen - seen % BYTES, return_counts=True), contexts[asked])
    total = _look_up(*np.unique(contexts[learnt], return_counts=True), contexts[asked])
    own = _look_up(seen, times, pairs[asked])
    return np.where(total > 0, (own + kinds * shorter) / np.maximum(total + kinds, 1), shorter)


def _look_up(keys: NDArray[np.int64], values: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """The value of each wanted key, or 0."""
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    found: NDArray[np.int64] = np.where(keys[places] == wanted, values[places], 0)
    return found
