"""Whole layers: their cycles in Verilator, their table, and what is predicted of them."""

from pathlib import Path

import pytest

from hwdse.calibration.chains import SHAPES, Chain, digest, predict, read, simulated_cycles, text
from hwdse.target import fpga

ECP5 = fpga("ecp5_25f")
ROW = Chain("a, b", "ecp5_25f", 100, 50, 2, 3, 99.5, 1234, "abc")


@pytest.mark.parametrize("shape", SHAPES[::5], ids=lambda shape: shape.name)
def test_frames_follow_each_other_as_predicted(shape: object, tmp_path: Path) -> None:
    assert isinstance(shape, type(SHAPES[0]))
    assert simulated_cycles(shape, ECP5, tmp_path) == predict(shape, ECP5).cycles


def test_shapes_are_chains_of_three_units_and_more() -> None:
    assert len(SHAPES) >= 8
    for shape in SHAPES:
        roles = [element.role for element in shape.elements(ECP5)]
        assert roles == ["window", "matrix", "thresholds", "fifo"]
    modules = {element.module for shape in SHAPES for element in shape.elements(ECP5)}
    assert modules >= {"window_serial", "window_parallel", "threshold_search", "threshold_parallel"}


def test_a_device_without_a_router_has_no_clock() -> None:
    assert predict(SHAPES[0], fpga("xczu3eg")).clock is None
    assert predict(SHAPES[0], ECP5).clock is not None


def test_what_ships_is_of_this_rtl() -> None:
    rows = read(Path(__file__).parents[3] / "cost_models" / "data" / "ecp5_25f.chains.csv")
    assert {row.name: row.rtl for row in rows} == {shape.name: digest(shape, ECP5) for shape in SHAPES}


def test_the_table_round_trips(tmp_path: Path) -> None:
    file = tmp_path / "chains.csv"
    file.write_text(text([ROW]))
    assert read(file) == (ROW,)


def test_a_file_that_is_no_table(tmp_path: Path) -> None:
    file = tmp_path / "chains.csv"
    file.write_text(text([ROW]).replace("1234", "many"))
    message = rf"^{file} is no table of chains: ValueError: invalid literal for int\(\) with base 10: 'many'$"
    with pytest.raises(ValueError, match=message):
        read(file)
