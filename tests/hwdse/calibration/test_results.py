"""The folder of a calibration: which tools made a table, and fits that are kept where there is nothing new."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from hwdse.calibrated import Fit, Fits, parse, text
from hwdse.calibration.results import Made, begin, made, measured, refit
from hwdse.cost import Resources
from hwdse.measurements import Measurement
from hwdse.measurements import text as table_text
from hwdse.netlist import rtl_digest

MADE = Made((("yosys", "0.70"),), 0)
OLD = Fits(Fit({"rest": 2.0}, 0.9, 1.1, 0.05, 0.9, 7), Fit({"rest": 3.0}, 0.8, 1.2, 0.06, 0.9, 7), "0123456789abcdef")


def queue(depth: int, device: str = "ecp5_25f") -> Measurement:
    """A measured queue."""
    parameters = (("BITS", 8), ("DEPTH", depth), ("BLOCK", 0))
    return Measurement(device, "netlist", "fifo", parameters, Resources(9, 9), None, rtl_digest("fifo"))


def put(folder: Path, family: str, *rows: Measurement) -> Path:
    """Writes a table."""
    file = folder / f"{family}.netlist.csv"
    file.write_text(table_text(rows))
    return file


# ---- what made a table ---------------------------------------------------------------------------


def test_what_made_a_table_is_kept(tmp_path: Path) -> None:
    assert made(tmp_path) == {}
    begin(tmp_path / "a.csv", MADE)
    begin(tmp_path / "b.csv", replace(MADE, seed=3))
    assert made(tmp_path) == {"a.csv": MADE, "b.csv": replace(MADE, seed=3)}


def test_a_table_of_other_tools_begins_anew(tmp_path: Path) -> None:
    file = put(tmp_path, "ecp5", queue(16))
    begin(file, MADE)  # nothing is known of it: its rows are kept
    begin(file, MADE)
    assert file.exists()
    other = replace(MADE, tools=(("yosys", "0.71"),))
    begin(file, other)
    assert not file.exists()
    assert made(tmp_path) == {file.name: other}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[]", "AttributeError: 'list' object has no attribute 'items'"),
        ('{"a.csv": {"seed": 0}}', "KeyError: 'tools'"),
        ("?", "JSONDecodeError: Expecting value: line 1 column 1 (char 0)"),
    ],
)
def test_notes_that_are_none(tmp_path: Path, content: str, reason: str) -> None:
    file = tmp_path / "tools.json"
    file.write_text(content)
    with pytest.raises(ValueError, match=f"^{re.escape(f'{file} does not say what made the tables: {reason}')}$"):
        begin(tmp_path / "a.csv", MADE)
    assert file.read_text() == content


# ---- fits ----------------------------------------------------------------------------------------


def test_fits_are_of_the_table(tmp_path: Path) -> None:
    put(tmp_path, "ecp5", queue(16), queue(32))
    put(tmp_path, "xcup")
    assert measured(tmp_path) == ("xcup", "ecp5")
    found = refit(tmp_path, ("ecp5",))
    assert parse((tmp_path / "fits.json").read_text()) == found
    assert list(found["ecp5"]) == ["fifo"]
    assert found["ecp5"]["fifo"].rtl == rtl_digest("fifo")
    assert found["ecp5"]["fifo"].luts.runs == 2


def test_what_is_not_measured_keeps_its_fits(tmp_path: Path) -> None:
    old = {"ice40": {"fifo": OLD}, "ecp5": {"fifo": OLD, "width": OLD, "gone": OLD}}
    (tmp_path / "fits.json").write_text(text(old))
    put(tmp_path, "ecp5", queue(16), queue(32), replace(queue(64), rtl="0123456789abcdef"))
    put(tmp_path, "xcup")
    found = refit(tmp_path, ("ecp5", "xcup"))
    assert found["xcup"] == {}
    assert found["ecp5"]["fifo"].luts.runs == 2  # the third row is of another RTL
    kept = parse((tmp_path / "fits.json").read_text())
    assert kept == {"ice40": {"fifo": OLD}, "ecp5": {"fifo": found["ecp5"]["fifo"], "width": OLD}}
    assert kept["ecp5"]["width"].stale("width")


def test_tables_that_cannot_be_fitted(tmp_path: Path) -> None:
    def refused(message: str) -> None:
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            refit(tmp_path, ("ecp5",))

    file = tmp_path / "ecp5.netlist.csv"
    refused(f"there are no measurements in {file}: `hwdse calibrate` makes them")
    put(tmp_path, "ecp5", queue(16), replace(queue(16), parameters=(("BITS", 8),)))
    refused(f"a unit in {file} has no parameter 'DEPTH'")
    put(tmp_path, "ecp5", queue(16), queue(16, "u250"))
    refused(f"{file} has units on ecp5, unlike 'u250'")
    put(tmp_path, "ecp5", queue(16))
    fits = tmp_path / "fits.json"
    fits.write_text('{"ecp5": {"fifo": {}}}')
    refused(f"{fits} holds no fits, remove it to fit anew: KeyError: 'luts'")
    assert fits.read_text() == '{"ecp5": {"fifo": {}}}'
