"""Elements in beats: every width and lane order, against Python's own integers."""

import numpy as np
import pytest

from hwdse.beats import pack, unpack, words


@pytest.mark.parametrize("bits", [1, 3, 8, 31, 32, 33, 62, 63, 64, 80, 140])
@pytest.mark.parametrize("lanes", [1, 3])
def test_pack_is_shift_and_or(bits: int, lanes: int) -> None:
    random = np.random.default_rng(bits)
    rows = [[int.from_bytes(random.bytes(20), "little") % 2**bits for _ in range(lanes)] for _ in range(7)]
    beats = pack(np.array(rows, object), bits)
    assert beats.shape == (7, words(bits * lanes))
    assert beats.dtype == np.uint32
    for row, beat in zip(rows, beats, strict=True):
        number = sum(element << bits * i for i, element in enumerate(row))
        assert number == sum(int(word) << 32 * i for i, word in enumerate(beat))
    assert unpack(beats, bits, lanes).tolist() == rows
    signed = [[element - (element >> bits - 1 << bits) for element in row] for row in rows]
    assert unpack(beats, bits, lanes, signed=True).tolist() == signed
    assert (pack(np.array(signed, object), bits) == beats).all()


def test_no_beats() -> None:
    assert pack(np.zeros((0, 3), np.int64), 5).shape == (0, 1)
    assert unpack(np.zeros((0, 1), np.uint32), 5, 3).shape == (0, 3)


def test_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match=r"^an element of 4 bits is -8 to 15, not 16$"):
        pack([[3, 16]], 4)
    with pytest.raises(ValueError, match=r"^an element of 4 bits is -8 to 15, not -9$"):
        pack([[3, -9]], 4)
    with pytest.raises(
        ValueError, match=r"^beats are packed from n x lanes elements, not from an array of shape \(2,\)$"
    ):
        pack([3, 4], 4)
    with pytest.raises(ValueError, match=r"^a beat of 3 x 16 bits has 2 words, not shape \(2, 1\)$"):
        unpack(np.zeros((2, 1), np.uint32), 16, 3)
