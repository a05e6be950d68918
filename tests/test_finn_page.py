"""The numbers of `docs/finn-cost.md` on what FINN leaves out are those of `hwdse calibrate --finn --fit-only`."""

from pathlib import Path
from shutil import copy

from hwdse.calibration.command import DATA
from hwdse.finn_fits import TABLE
from hwdse.finn_rtl.command import fit_only

PAGE = Path(__file__).parents[1] / "docs" / "finn-cost.md"
HEAD = "| kind | units | LUT: half within |"


def test_the_table_is_the_commands(tmp_path: Path) -> None:
    copy(DATA / TABLE, tmp_path)
    (table,) = fit_only(tmp_path)
    cells = [[column.show(cell) for column, cell in zip(table.columns, row, strict=True)] for row in table.rows]
    lines = PAGE.read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(HEAD)) + 2
    wanted = [f"| {' | '.join(row)} |" for row in cells]
    assert lines[start : start + len(wanted)] == wanted
    assert lines[start + len(wanted)] == ""
    assert table.note.rpartition(". ")[2] in " ".join(lines)
