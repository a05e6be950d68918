"""The figures of the energy model: they pass through what is published, each has its source, and bad files say why."""

import re
from pathlib import Path

import pytest

from hwdse import energy_figures
from hwdse.energy_figures import Operator, Sram, content, figures, parse
from hwdse.target import devices

# Horowitz, ISSCC 2014: pJ of integers at 45 nm and 0.9 V.
ADDS = {8: 0.03, 32: 0.1}
PRODUCTS = {8: 0.2, 32: 3.1}

GOOD = """technology = "a node"
cite = "a paper"
[add]
bits = [8, 32]
pj = [0.03, 0.1]
source = "adds"
[multiply]
bits = [8, 32]
pj = [0.2, 3.1]
source = "products"
[memory]
capacity_bytes = 8192
bits = 64
pj = 10.0
source = "a memory"
[logic]
ratio = 14
source = "a ratio"
[blocks]
ratio = 1.0
source = "none"
[static.mine]
watts = 0.5
cite = "a sheet"
source = "a data sheet"
"""


@pytest.mark.parametrize("bits", ADDS)
def test_additions_pass_through_the_published_points(bits: int) -> None:
    assert figures().add_pj(bits) == pytest.approx(ADDS[bits], rel=1e-14)


@pytest.mark.parametrize("bits", PRODUCTS)
def test_products_pass_through_the_published_points(bits: int) -> None:
    assert figures().multiply_pj((bits, bits)) == pytest.approx(PRODUCTS[bits], rel=1e-14)


def test_between_the_points() -> None:
    assert figures().add_pj(20) == pytest.approx(0.065, rel=1e-14)  # halfway
    # a = (3.1 / 32 - 0.2 / 8) / 24 = 0.002994791..., b = 0.2 / 8 - 8 a = 0.001041666...
    assert figures().multiply_pj((16, 16)) == pytest.approx(256 * 0.575 / 192 + 16 * 0.1 / 96, rel=1e-14)
    assert figures().multiply_pj((4, 12)) == figures().multiply_pj((12, 4))


def test_wider_takes_more() -> None:
    for bits in range(1, 40):
        assert 0 < figures().add_pj(bits) < figures().add_pj(bits + 1)
        assert 0 < figures().multiply_pj((bits, 3)) < figures().multiply_pj((bits + 1, 3))


def test_a_memory_by_word_and_by_the_square_root_of_its_capacity() -> None:
    memory = figures().memory
    assert memory.word_pj(64, 8192) == 10.0
    assert memory.word_pj(32, 8192) == 5.0
    assert memory.word_pj(64, 32768) == 20.0  # also Horowitz's
    assert memory.word_pj(64, 2048) == 5.0


def test_every_figure_has_a_source_that_says_what_was_read() -> None:
    found = figures()
    for source in (one.source for one in (found.add, found.multiply, found.memory, found.logic)):
        assert re.search(r"\bread\b", source, re.IGNORECASE)
    assert "assumption" in found.blocks.source
    for device, static in found.static.items():
        assert device in devices()
        assert re.search(r"\bread\b", static.source, re.IGNORECASE)
        assert "typical" in static.source or "estimate" in static.source


def test_the_page_says_the_same() -> None:
    page, found = (Path(__file__).parents[2] / "docs" / "energy.md").read_text(), figures()
    for operator in (found.add, found.multiply):
        (low, high), (first, last) = operator.bits, operator.pj
        assert f"| {first} pJ at {low} bits, {last} pJ at {high} |" in page
    assert f"| {found.memory.pj} pJ for {found.memory.bits} bits of 8 KB |" in page
    a, b = found.add.coefficients(1)
    assert f"`{a:.7f} n + {b:.7f}` | x {found.logic.ratio:g} |" in page
    a, b = found.multiply.coefficients(2)
    assert f"`{a:.7f} n m + {b:.7f} (n + m) / 2` | x {found.logic.ratio:g}, in a DSP block x 1 |" in page
    known = dict(re.findall(r"^\| (\w+) \| ([\d.e-]+) W \|", page, re.MULTILINE))
    assert {device: float(watts) for device, watts in known.items()} == {n: s.watts for n, s in found.static.items()}


def test_a_file_in_full() -> None:
    found = parse(GOOD)
    assert (found.technology, found.cite) == ("a node", "a paper")
    assert found.add == Operator((8, 32), (0.03, 0.1), "adds")
    assert found.memory == Sram(8192, 64, 10.0, "a memory")
    assert (found.logic.ratio, found.blocks.source) == (14.0, "none")
    assert (found.static["mine"].watts, found.static["mine"].cite) == (0.5, "a sheet")


NAMES = "technology, cite, add, multiply, memory, logic, blocks, static"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('cite = "a paper"\n', "", f"key 'cite' of the file is missing; known: {NAMES}"),
        ('cite = "a paper"', 'site = "a paper"', f"the file has no key 'site'; known: {NAMES}"),
        ("pj = [0.2, 3.1]\n", "", "key 'pj' of [multiply] is missing; known: bits, pj, source"),
        ("ratio = 14\n", "factor = 14\n", "[logic] has no key 'factor'; known: ratio, source"),
        ("pj = 10.0", "pj = -10.0", "'pj' of [memory] is positive, unlike -10.0"),
        ("pj = 10.0", "pj = true", "'pj' of [memory] is positive, unlike True"),
        ("pj = 10.0", "pj = inf", "'pj' of [memory] is positive, unlike inf"),
        ("pj = 10.0", "pj = nan", "'pj' of [memory] is positive, unlike nan"),
        ("pj = 10.0", "pj = 'ten'", "'pj' of [memory] is positive, unlike 'ten'"),
        ("watts = 0.5", "watts = 0", "'watts' of [static.mine] is positive, unlike 0"),
        ("watts = 0.5\n", "", "key 'watts' of [static.mine] is missing; known: watts, cite, source"),
        ("[0.03, 0.1]", "[0.03, -0.1]", "'pj' of [add] is positive, unlike -0.1"),
        ("[0.03, 0.1]", "0.03", "'pj' of [add] is a list, not 0.03"),
        (
            "[0.03, 0.1]",
            "[0.03]",
            "an operation has an energy at each of two ascending widths, not [0.03] at [8, 32]",
        ),
        (
            "bits = [8, 32]\npj = [0.2, 3.1]",
            "bits = [32, 8]\npj = [0.2, 3.1]",
            "an operation has an energy at each of two ascending widths, not [0.2, 3.1] at [32, 8]",
        ),
        (
            "[0.2, 3.1]",
            "[0.2, 4.0]",
            "the energy of [multiply] is negative at no width, unlike through [0.2, 4.0] pJ at [8, 32] bits",
        ),
        (
            "capacity_bytes = 8192",
            "capacity_bytes = 8e3",
            "'capacity_bytes' of [memory] is a positive whole number, not 8000.0",
        ),
        ('source = "adds"', "source = 7", "'source' of [add] is a text, not 7"),
        ('source = "adds"', 'source = ""', "'source' of [add] is a text, not ''"),
        ("[static.mine]\n", "[static]\n", "[static.watts] is a table, not 0.5"),
        ('technology = "a node"', "technology =", "cannot be read as TOML: Invalid value (at line 1, column 13)"),
    ],
)
def test_a_file_that_breaks_a_rule(old: str, new: str, message: str) -> None:
    assert GOOD.count(old) == 1
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        parse(GOOD.replace(old, new))


def test_the_error_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hwdse.energy_figures.files", lambda package: tmp_path)
    (tmp_path / "energy.toml").write_text(GOOD.replace("pj = 10.0", "pj = -1"))
    figures.cache_clear()
    message = f"{tmp_path / 'energy.toml'}: 'pj' of [memory] is positive, unlike -1"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        figures()
    figures.cache_clear()


def test_the_file_is_shipped() -> None:
    assert parse(content()) == energy_figures.figures()
