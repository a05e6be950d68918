"""Fits to place and route give back what tables were made from."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hwdse.calibration.fit import table
from hwdse.calibration.placement import FEWEST_PLACED, fit_cells, fit_delays, refit
from hwdse.calibration.sample import points
from hwdse.cost import Resources
from hwdse.measurements import Measurement, text
from hwdse.netlist import rtl_digest
from hwdse.placement import COUNTS, FILE, SIZE, START, parse
from hwdse.structure.blocks import FABRICS
from hwdse.structure.chains import chains
from hwdse.structure.depth import paths
from hwdse.target import fpga

ECP5 = FABRICS["ecp5"]
CELLS = {"adders": 4.0, "comparators": 3.0, "counters": 2.0}
NANOSECONDS = dict(zip((*COUNTS, START, SIZE), (0.75, 1.0, 0.125, 4.0, 6.0, 0.5, 0.5, 0.25), strict=True))


@pytest.fixture(scope="module")
def netlists() -> list[Measurement]:
    """A sample with LUTs that nothing was asked for."""
    found = dict[tuple[str, tuple[tuple[str, int], ...]], Measurement]()
    for i, point in enumerate(points(fpga("ecp5_25f"), 240)):
        unit = point.unit
        area, digest = Resources(luts=200 + 37 * i % 500, ffs=100 + i), rtl_digest(unit.module)
        row = Measurement("ecp5_25f", "netlist", unit.module, unit.parameters, area, None, digest)
        found[unit.module, unit.parameters] = row
    return list(found.values())


def placed(rows: Sequence[Measurement]) -> list[Measurement]:
    """What `CELLS` and `NANOSECONDS` make of netlists, and a LUT for the design."""
    found = list[Measurement]()
    for row in rows:
        counted = chains(row.module, table([row]), ECP5)
        extra = sum(factor * float(getattr(counted, name)[0]) for name, factor in CELLS.items())
        area = replace(row.area, luts=round(row.area.luts + extra) + 1)
        slowest = max(
            sum(NANOSECONDS[name] * float(getattr(path, name)[0]) for name in COUNTS)
            for path in paths(row.module, table([row]), ECP5)
        )
        period = slowest + NANOSECONDS[START] + NANOSECONDS[SIZE] * float(np.log2(area.luts + area.ffs))
        found.append(replace(row, counted="placed", area=area, mhz=1000 / period))
    return found


def test_known_cells_come_back(netlists: list[Measurement]) -> None:
    found = fit_cells(placed(netlists), netlists, "ecp5")
    assert found.per_chain == pytest.approx(CELLS, abs=1e-3)
    assert (found.share, found.runs) == (0.0, len(netlists))
    assert found.once == pytest.approx(1.0, abs=0.01)
    assert found.placing_error < 1e-3
    assert found.mean_error > 0.1  # of netlists that are not predictable
    assert 0.8 < found.coverage < 1.0


def test_known_nanoseconds_come_back(netlists: list[Measurement]) -> None:
    found = fit_delays(placed(netlists), "ecp5")
    assert found.nanoseconds == pytest.approx(NANOSECONDS, abs=0.02)
    assert (found.low, found.high) == pytest.approx((1.0, 1.0), abs=0.02)
    assert found.mean_error < 0.005
    assert found.runs == len(netlists)


def test_what_is_not_said_stays_in_the_file(netlists: list[Measurement], tmp_path: Path) -> None:
    (tmp_path / "ecp5.netlist.csv").write_text(text(netlists))
    (tmp_path / "ecp5.placed.csv").write_text(text(placed(netlists)))
    first = refit(tmp_path, ["ecp5", "xcup"])
    assert (list(first.cells), list(first.delays)) == (["ecp5"], ["ecp5_25f"])
    assert refit(tmp_path, []) == first == parse((tmp_path / FILE).read_text())


def test_few_units_are_not_fitted(netlists: list[Measurement], tmp_path: Path) -> None:
    """Less than would leave something to predict a fold from."""
    (tmp_path / "ecp5.netlist.csv").write_text(text(netlists))
    for count in (1, 3, FEWEST_PLACED - 1):
        (tmp_path / "ecp5.placed.csv").write_text(text(placed(netlists[:count])))
        assert refit(tmp_path, ["ecp5"]).cells == {}
    (tmp_path / "ecp5.placed.csv").write_text(text(placed(netlists[: 2 * FEWEST_PLACED])))
    assert refit(tmp_path, ["ecp5"]).cells["ecp5"].runs == 2 * FEWEST_PLACED


def test_a_placed_unit_has_a_netlist(netlists: list[Measurement], tmp_path: Path) -> None:
    one = next(row for row in netlists if row.module == "branch")
    (tmp_path / "ecp5.netlist.csv").write_text(text(row for row in netlists if row is not one))
    (tmp_path / "ecp5.placed.csv").write_text(text(placed(netlists)))
    bits = dict(one.parameters)["BITS"]
    message = rf"^a placed unit is fitted beside its netlist, which ecp5 lacks for branch \(BITS={bits}\)$"
    with pytest.raises(ValueError, match=message):
        refit(tmp_path, ["ecp5"])


def test_a_file_that_holds_no_fits(tmp_path: Path) -> None:
    file = tmp_path / FILE
    file.write_text('{"cells": {}}')
    with pytest.raises(ValueError, match=f"^{file} holds no fits, remove it to fit anew: KeyError: 'delays'$"):
        refit(tmp_path, [])
