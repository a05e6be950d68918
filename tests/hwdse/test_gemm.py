"""Products, tiles and choices: what they refuse, and text forms that round-trip."""

import re

import pytest

from hwdse.formats import Format, parse
from hwdse.gemm import Choice, Gemm, Tile

INT4, FLOAT16 = parse("int4"), parse("float16")
TILES = (Tile(128, 16, 16, 3), Tile(64, 128, 32, 4, 8, 8))
CHOICES = (Choice("a16", "float16", TILES[0]), Choice("gemv", "float16", TILES[1]), Choice("unpack", "float16"))


@pytest.mark.parametrize("tile", TILES)
def test_tiles_have_a_text_form(tile: Tile) -> None:
    assert Tile.parse(tile.name) == tile


@pytest.mark.parametrize("choice", CHOICES)
def test_choices_have_a_text_form(choice: Choice) -> None:
    assert Choice.parse(choice.name) == choice


def test_how_they_read() -> None:
    names = "a16 float16 128x16:w16:s3:k1:t4", "gemv float16 64x128:w32:s4:k8:t8", "unpack float16"
    assert tuple(choice.name for choice in CHOICES) == names


@pytest.mark.parametrize("name", ["", "128x16", "128x16:w16:s3:k4", "128x16:w16:s3:k4:t4 ", "axb:w16:s3:k4:t4"])
def test_text_that_is_no_tile(name: str) -> None:
    with pytest.raises(ValueError, match=f"^a tile reads like '128x16:w16:s3:k4:t4', not {re.escape(repr(name))}$"):
        Tile.parse(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("64x16:w16:s0:k1:t4", "a tile has at least 1 of stages, not 0"),
        ("64x16:w16:s3:k0:t4", "a tile has at least 1 of split, not 0"),
        ("64x0:w16:s3:k1:t4", "a tile has at least 1 of columns, not 0"),
        ("64x48:w16:s3:k1:t4", "a tile has a power of two of columns, not 48; the nearest is 32"),
        ("64x16:w15:s3:k1:t4", "a tile has a power of two of words, not 15; the nearest is 16"),
        ("64x16:w16:s3:k1:t3", "a tile has a power of two of warps, not 3; the nearest is 2"),
    ],
)
def test_what_is_no_tile(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Tile.parse(name)


@pytest.mark.parametrize("name", ["", "a16", "a-16 float16", "a16 float16 128x16:w16:s3:k4:t4 more"])
def test_text_that_is_no_choice(name: str) -> None:
    message = f"a choice reads like 'a16 float16 128x16:w16:s3:k4:t4', not {name!r}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Choice.parse(name)


def test_what_no_tensor_core_multiplies() -> None:
    message = "numbers are multiplied as int8, fp8, float16, bfloat16, not as 'int4' of 'a8 int4 16x16:w8:s2:k1:t4'"
    with pytest.raises(ValueError, match=f"^{message}$"):
        Choice.parse("a8 int4 16x16:w8:s2:k1:t4")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((0, 1, 1, INT4, FLOAT16), "a product has at least 1 of m, not 0"),
        ((1, 1, 0, INT4, FLOAT16), "a product has at least 1 of k, not 0"),
        ((1, 1, 1, INT4, FLOAT16, 48), "a group has 32, 64, 128 inputs, not 48; the nearest is 32"),
        ((1, 1, 1, INT4, FLOAT16, 100), "a group has 32, 64, 128 inputs, not 100; the nearest is 128"),
        ((1, 1, 1, parse("e2m1"), FLOAT16, 32, True), "integers have zero points, not e2m1"),
    ],
)
def test_what_is_no_product(values: tuple[int, int, int, Format, Format], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Gemm(*values)


def test_operations() -> None:
    assert Gemm(2, 3, 5, INT4, FLOAT16).flops == 60
