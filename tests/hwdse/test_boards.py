"""Boards: what their files say, and files that are no board."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import fields, replace
from importlib.resources import files
from pathlib import Path

import pytest

from hwdse.boards import Board, board, board_of, boards
from hwdse.flows._routers import ROUTERS
from hwdse.target import devices, fpga

# (clock in MHz, its pin, rx, tx). Source: what each file cites.
PINS = {
    "crosslink_nx_evn": (25, None, "F16", "F18"),
    "hx8k_breakout": (12, "J3", "B10", "B12"),
    "icebreaker": (12, "35", "6", "9"),
    "icesugar_pro": (25, "P6", "A9", "B9"),
    "tang_nano_9k": (27, "52", "18", "17"),
    "ulx3s_25f": (25, "G2", "M1", "L4"),
    "ulx3s_85f": (25, "G2", "M1", "L4"),
}
GOOD = {
    "device": '"ecp5_25f"', "part": '"p"', "default": "true", "clock_mhz": "25", "clock_pin": '"G2"', "rx_pin": '"M1"',
    "tx_pin": '"L4"', "high_pins": "[]", "io_type": '"LVCMOS33"', "source": '"here"',
}  # fmt: skip


@pytest.mark.parametrize("name", boards())
def test_pins_are_those_of_the_sources(name: str) -> None:
    one = board(name)
    assert (one.clock_mhz, one.clock_pin, one.rx_pin, one.tx_pin) == PINS[name]
    assert one.source.startswith("https://github.com/")
    assert eval(repr(one)) == one


@pytest.mark.parametrize("name", boards())
def test_every_field_is_written(name: str) -> None:
    text = (files("hwdse.hls_templates") / "boards" / f"{name}.toml").read_text()
    known = {field.name for field in fields(Board)} - {"name"}
    assert set(tomllib.loads(text)) == known - {"oscillator_divisor" if board(name).clock_pin else "clock_pin"}
    assert text.startswith("# ")


def test_every_device_that_is_placed_has_one_default() -> None:
    placed = [name for name in devices() if fpga(name).family in ROUTERS]
    assert sorted(one.device for one in map(board, boards()) if one.default) == placed
    assert [board_of(name).device for name in placed] == placed


@pytest.mark.parametrize("name", boards())
def test_the_part_is_the_device_in_some_package(name: str) -> None:
    one = board(name)
    assert one.part[:9] == fpga(one.device).part[:9]
    assert one.family == fpga(one.device).family
    assert ROUTERS[one.family].arguments(replace(fpga(one.device), part=one.part))


def test_unknown_ones_list_the_known() -> None:
    with pytest.raises(ValueError, match=f"^no board 'arduino'; known: {', '.join(boards())}$"):
        board("arduino")
    known = "ecp5_25f, ecp5_85f, gw1nr9, ice40_hx8k, ice40_up5k, lifcl40"
    with pytest.raises(ValueError, match=f"^no board is known for device 'u250'; known for: {known}$"):
        board_of("u250")


# ---- files that are no board -----------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where boards are looked for."""
    (tmp_path / "boards").mkdir()
    there = {"hwdse.hls_templates": tmp_path}
    monkeypatch.setattr("hwdse.described.files", lambda package: there.get(package) or files(package))
    board.cache_clear()
    yield tmp_path / "boards"
    board.cache_clear()


def written(**changes: str | None) -> str:
    """The text of a good file, but for some keys; None leaves one out."""
    return "".join(f"{key} = {value}\n" for key, value in (GOOD | changes).items() if value is not None)


KEYS = "device, part, default, clock_mhz, clock_pin, oscillator_divisor, rx_pin, tx_pin, high_pins, io_type, source"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("=", "cannot be read as TOML: Invalid statement (at line 1, column 1)"),
        (written(colour='"red"'), f"no key 'colour'; known: {KEYS}"),
        (written(rx_pin=None), f"key 'rx_pin' is missing; known: {KEYS}"),
        (written(rx_pin="6"), "a board's 'rx_pin' is of type str, unlike 6"),
        (written(clock_mhz="true"), "a board's 'clock_mhz' is of type int, unlike True"),
        (written(high_pins='"A1"'), "a board's 'high_pins' is of type list, unlike 'A1'"),
        (written(default="1"), "a board's 'default' is of type bool, unlike 1"),
        (written(clock_mhz="0"), "a board's 'clock_mhz' is above 0, unlike 0"),
        (written(device='"x"'), f"no device 'x'; known: {', '.join(devices())}"),
        (written(clock_pin=None), "a board has either a 'clock_pin' or an 'oscillator_divisor'"),
        (written(oscillator_divisor="18"), "a board has either a 'clock_pin' or an 'oscillator_divisor'"),
        (
            written(clock_pin=None, oscillator_divisor="18"),
            "a board with an 'oscillator_divisor' is one of family nexus, which has an oscillator",
        ),
        (
            written(clock_pin=None, oscillator_divisor="1", device='"lifcl40"'),
            "a board's 'oscillator_divisor' is 2 to 256, unlike 1",
        ),
    ],
)
def test_a_file_that_is_no_board(folder: Path, content: str, message: str) -> None:
    (folder / "mine.toml").write_text(content)
    with pytest.raises(ValueError, match=f"^{re.escape(f'{folder}/mine.toml: {message}')}$"):
        board("mine")


def test_a_file_of_ones_own(folder: Path) -> None:
    (folder / "mine.toml").write_text(written(high_pins='["A1"]'))
    assert boards() == ("mine",)
    assert board_of("ecp5_25f").high_pins == ("A1",)
