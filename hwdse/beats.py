"""Beats of a stream as arrays: what is on the data wires, in 32-bit words, and the elements packed in it.

Element 0 of a beat is in the lowest bits, as in `hls_templates/rtl`.
"""

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

Beats = NDArray[np.uint32]  # n x words, the low word first
Elements = NDArray[np.int64] | NDArray[np.object_]  # n x lanes


def words(bits: int) -> int:
    """The 32-bit words of a beat of `bits` bits."""
    return (bits + 31) // 32


def integers(bits: int) -> DTypeLike:
    """What holds numbers of `bits` bits: int64, or Python's integers above 62 bits."""
    return np.int64 if bits <= 62 else object


def pack(elements: ArrayLike, bits: int) -> Beats:
    """`n x words` beats of `n x lanes` elements of `bits` bits each.

    Elements are integers of any size, negative ones in two's complement; ValueError if one does not fit.
    """
    array = np.asarray(elements)
    if array.ndim != 2:
        raise ValueError(f"beats are packed from n x lanes elements, not from an array of shape {array.shape}")
    low, high = -(2 ** (bits - 1)), 2**bits - 1
    for outlier in (array.min(), array.max()) if array.size else ():
        if not low <= outlier <= high:
            raise ValueError(f"an element of {bits} bits is {low} to {high}, not {outlier}")
    array = array.astype(integers(bits))
    parts = np.stack([array >> 32 * i & 0xFFFFFFFF for i in range(words(bits))], axis=-1)
    octets = np.ascontiguousarray(parts.astype("<u4")).view(np.uint8)  # n x lanes x bytes
    ones = np.unpackbits(octets, axis=-1, bitorder="little")[..., :bits].reshape(len(array), array.shape[1] * bits)
    padded = np.pad(ones, ((0, 0), (0, -ones.shape[1] % 32)))
    return np.packbits(padded, axis=1, bitorder="little").view("<u4")


def unpack(beats: Beats, bits: int, lanes: int, *, signed: bool = False) -> Elements:
    """`n x lanes` elements of `bits` bits from `n x words` beats: int64, or Python's integers above 62 bits."""
    if beats.ndim != 2 or beats.shape[1] != words(bits * lanes):
        raise ValueError(f"a beat of {lanes} x {bits} bits has {words(bits * lanes)} words, not shape {beats.shape}")
    octets = np.ascontiguousarray(beats.astype("<u4")).view(np.uint8)
    ones = np.unpackbits(octets, axis=1, bitorder="little")[:, : bits * lanes].reshape(-1, lanes, bits)
    padded = np.pad(ones, ((0, 0), (0, 0), (0, -bits % 32)))
    parts = np.packbits(padded, axis=2, bitorder="little").view("<u4").astype(integers(bits))
    shifts = (32 * np.arange(words(bits))).astype(integers(bits))
    array: Elements = (parts << shifts).sum(axis=2)
    return array - (array >> bits - 1 << bits) if signed else array
