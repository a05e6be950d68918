"""Text as data: the bytes of a file, its three parts, and sequences of tokens cut from them.

What a network was trained on says nothing of it, so the parts are fixed shares of the file, in its order, whatever
numbers of sequences are taken from them: the first 90 % train and calibrate, the next 5 % are searched on, and the
last 5 % test.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

CONTEXT = 128  # tokens in a sequence, unless said otherwise: those of `text-lm`
TRAIN, SEARCH = 0.90, 0.95  # where the parts of a text end

Encode = Callable[[bytes], Tensor]  # from a text to its tokens, n int64


class Parts(NamedTuple):
    """The contiguous parts of a text."""

    train: bytes
    search: bytes
    test: bytes


def read(path: Path) -> bytes:
    """The text in the file `path`; ValueError where there is none."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"the text {path} cannot be read: {error.strerror}") from None
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"a text is UTF-8, unlike byte {error.start} of {path}") from None
    if b"\0" in content:
        raise ValueError(f"a text has no zero bytes, unlike byte {content.index(0)} of {path}")
    return content


def parts(content: bytes) -> Parts:
    """The parts of a text; a character of several bytes stays whole."""
    first, second = (_boundary(content, int(share * len(content))) for share in (TRAIN, SEARCH))
    return Parts(content[:first], content[first:second], content[second:])


def _boundary(content: bytes, at: int) -> int:
    """`at`, or the next place that begins a character."""
    while at < len(content) and content[at] & 0xC0 == 0x80:  # UTF-8: what goes on begins with the bits 10
        at += 1
    return at


def byte_codes(content: bytes) -> Tensor:
    """The bytes of a text as tokens, `n` int64."""
    if not content:
        return torch.zeros(0, dtype=torch.int64)
    return torch.frombuffer(bytearray(content), dtype=torch.uint8).to(torch.int64)


def sequences(tokens: Tensor, context: int) -> tuple[Tensor, Tensor]:
    """`n x context` tokens, one sequence after the other, and as many that come next: each token is predicted once.

    What is left at the end is too short and left out.
    """
    count = max(0, len(tokens) - 1) // context
    return tuple(tokens[start : start + count * context].view(count, context) for start in (0, 1))  # type: ignore[return-value]
