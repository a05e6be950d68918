"""Tables of measured units: what is written is read again, and what is no row is named."""

from dataclasses import replace
from pathlib import Path

import pytest

from hwdse.cost import Resources
from hwdse.measurements import COLUMNS, Measurement, read, text

ONE = Measurement(
    "ecp5_25f", "placed", "fifo", (("BITS", 8), ("DEPTH", 33)), Resources(1, 2, 3, 4, 5, 6), 123.456, "0123456789abcdef"
)
ROWS = (ONE, replace(ONE, counted="netlist", mhz=None), replace(ONE, device="u250", parameters=(), mhz=0.5))
HEADER = "device,counted,module,parameters,luts,ffs,dsps,brams,urams,lutrams,mhz,rtl\n"


def written(tmp_path: Path, content: str) -> Path:
    file = tmp_path / "table.csv"
    file.write_text(content)
    return file


def test_a_table_is_text() -> None:
    assert ",".join(COLUMNS) + "\n" == HEADER
    assert text([ONE]) == HEADER + "ecp5_25f,placed,fifo,BITS=8 DEPTH=33,1,2,3,4,5,6,123.46,0123456789abcdef\n"
    assert text([]) == HEADER


def test_round_trip(tmp_path: Path) -> None:
    rows = read(written(tmp_path, text(ROWS)))
    assert set(rows) == {replace(one, mhz=one.mhz and round(one.mhz, 2)) for one in ROWS}
    assert [one.key for one in rows] == sorted(one.key for one in ROWS)
    assert text(rows) == text(ROWS) == text(reversed(ROWS))
    assert read(written(tmp_path, HEADER)) == ()


def test_a_key_is_what_was_measured() -> None:
    assert ONE.key == ("ecp5_25f", "placed", "fifo", "BITS=8 DEPTH=33", "0123456789abcdef")
    assert replace(ONE, area=Resources(), mhz=None).key == ONE.key
    changes = [{"device": "u250"}, {"counted": "netlist"}, {"module": "width"}, {"parameters": ()}, {"rtl": "f" * 16}]
    assert len({replace(ONE, **change).key for change in changes} | {ONE.key}) == 6  # type: ignore[arg-type]


@pytest.mark.parametrize("content", ["", "device,luts\n", HEADER.replace("mhz", "MHz")])
def test_a_table_has_its_header(content: str, tmp_path: Path) -> None:
    file = written(tmp_path, content)
    with pytest.raises(ValueError, match=f"^a table of measurements begins with {HEADER.strip()}, unlike {file}$"):
        read(file)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("a,netlist,fifo,,1,2,3,4,5,6,,r,more", r"zip\(\) argument 2 is longer than argument 1"),
        ("a,netlist,fifo", r"zip\(\) argument 2 is shorter than argument 1"),
        ("", r"zip\(\) argument 2 is shorter than argument 1"),
        ("a,netlist,fifo,,x,2,3,4,5,6,,r", r"invalid literal for int\(\) with base 10: 'x'"),
        ("a,netlist,fifo,,1,2,3,4,5,6,fast,r", "could not convert string to float: 'fast'"),
        ("a,netlist,fifo,BITS,1,2,3,4,5,6,,r", r"not enough values to unpack \(expected 2, got 1\)"),
        ("a,netlist,fifo,A=1=2,1,2,3,4,5,6,,r", r"too many values to unpack \(expected 2\)"),
        ("a,netlist,fifo,BITS=y,1,2,3,4,5,6,,r", r"invalid literal for int\(\) with base 10: 'y'"),
    ],
)
def test_a_bad_row_is_named(row: str, why: str, tmp_path: Path) -> None:
    file = written(tmp_path, text([ONE]) + row + "\n")
    with pytest.raises(ValueError, match=f"^line 3 of {file} is no measurement: {why}$"):
        read(file)
