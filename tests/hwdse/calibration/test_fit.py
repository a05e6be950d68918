"""Fits give back what tables were made from, and errors are of units whose like was left out."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from hwdse.calibration.fit import FOLDS, by, fit, fit_all, formats, sizes, table
from hwdse.calibration.sample import points
from hwdse.cost import Resources
from hwdse.measurements import Measurement
from hwdse.netlist import rtl_digest
from hwdse.structure import parts
from hwdse.structure.blocks import FABRICS
from hwdse.target import fpga

LUTS = {
    "memory": 1.5,
    "memory multiplexers": 0.75,
    "pointers": 2.0,
    "comparisons": 1.0,
    "spare": 0.5,
    "handshake": 3.0,
    "rest": 4.0,
}


def row(module: str, **parameters: int) -> Measurement:
    """A unit that is not measured yet."""
    return Measurement("ecp5_25f", "netlist", module, tuple(parameters.items()), Resources(), None, rtl_digest(module))


def queues() -> list[Measurement]:
    """Queues of which every part is varied."""
    return [row("fifo", BITS=b, DEPTH=d, BLOCK=0) for b in (4, 7, 12, 20) for d in (1, 2, 4, 16, 32, 64, 128)]


def measured(rows: Sequence[Measurement], coefficients: dict[str, float]) -> list[Measurement]:
    """Units that take just `coefficients` x parts LUTs, and the parts themselves FFs."""
    found = parts(rows[0].module, table(rows), FABRICS["ecp5"])
    luts = sum((factor * found[name].luts for name, factor in coefficients.items()), np.zeros(len(rows)))
    ffs = sum((one.ffs for one in found.values()), np.zeros(len(rows)))
    areas = [Resources(int(a), int(b)) for a, b in zip(4 * luts, ffs, strict=True)]  # 4: so that they are whole
    return [replace(one, area=area) for one, area in zip(rows, areas, strict=True)]


def test_known_coefficients_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hwdse.calibration.fit.PRIOR", 1e-6)  # else it draws each a little towards 1
    rows = measured(queues(), LUTS)
    found = fit(rows, "ecp5", "luts", [by(rows, formats)])  # not by sizes: `spare` is in queues of 2 beats alone
    assert found.runs == len(rows)
    assert found.coefficients == pytest.approx({name: 4 * factor for name, factor in LUTS.items()}, abs=1e-3)
    assert (found.low, found.high, found.mean_error, found.coverage) == (1.0, 1.0, 0.0, 1.0)


def test_a_part_that_is_hardly_varied_stays_as_counted() -> None:
    rows = measured(queues(), LUTS)
    alike = [one for one in rows if dict(one.parameters)["DEPTH"] == 2]  # registers and the rest, no memory
    found = fit(alike, "ecp5", "luts", [np.arange(len(alike))])
    assert set(found.coefficients) == {"spare", "handshake", "rest"}


def test_counts_that_are_right_have_coefficients_of_1() -> None:
    rows = measured(queues(), LUTS)
    found = fit_all(rows, "ecp5")["fifo"]
    assert set(found.ffs.coefficients.values()) == {1.0}
    assert (found.ffs.low, found.ffs.high, found.ffs.mean_error, found.ffs.coverage) == (1.0, 1.0, 0.0, 1.0)
    assert found.rtl == rtl_digest("fifo")
    assert found.luts.mean_error < 0.1
    assert found.luts.low < found.luts.high


def test_a_coefficient_is_not_negative() -> None:
    rows = [replace(one, area=Resources(1, 1)) for one in queues()]
    assert all(value >= 0 for value in fit(rows, "ecp5", "luts", [by(rows, sizes)]).coefficients.values())


def test_what_is_left_out_has_no_say() -> None:
    rows = measured(queues(), LUTS)
    group = np.array([int(dict(one.parameters)["BITS"] == 20) for one in rows])
    wrong = [
        replace(one, area=Resources(10 * one.area.luts, one.area.ffs)) if g else one
        for one, g in zip(rows, group, strict=True)
    ]
    found = fit(wrong, "ecp5", "luts", [group])
    assert found.high > 9  # units that are ten times as large as the others say


def test_coverage_is_of_units_by_the_intervals_of_the_others() -> None:
    rows = measured(queues(), LUTS)
    group = np.array([int(dict(one.parameters)["BITS"] == 20) for one in rows])
    large = [replace(one, area=Resources(one.area.luts * (2 if g else 1))) for one, g in zip(rows, group, strict=True)]
    # Neither half lies where the other does: units of 20 bits are twice what the others say, and those are half.
    assert fit(large, "ecp5", "luts", [group]).coverage < 0.2


def test_nothing_measured_is_an_absolute_error() -> None:
    rows = [replace(one, area=Resources(9, 0)) for one in queues()]
    found = fit(rows, "ecp5", "ffs", [by(rows, sizes)])
    assert (found.low, found.high) == (0.0, 0.0)
    assert np.isfinite(found.mean_error)


def test_folds_keep_equal_keys_together() -> None:
    rows = [row(p.unit.module, **dict(p.unit.parameters)) for p in points(fpga("ecp5_25f"), 300)]
    matrices = [one for one in rows if one.module == "mvu"]
    for key in (formats, sizes):
        folds = by(matrices, key)
        places: dict[str, set[int]] = {}
        for one, fold in zip(matrices, folds, strict=True):
            places.setdefault(str(key(dict(one.parameters))), set()).add(int(fold))
        assert {len(found) for found in places.values()} == {1}
        assert set(folds.tolist()) == set(range(FOLDS))


def test_folds_are_by_what_they_say() -> None:
    rows = [row("fifo", BITS=bits, DEPTH=depth, BLOCK=0) for bits in (4, 8) for depth in (2, 16)]
    a, b, c, d = by(rows, formats).tolist()
    assert a == b != c == d
    a, b, c, d = by(rows, sizes).tolist()
    assert a == c != b == d
    assert by(rows, sizes).tolist() == by(rows, sizes).tolist()


def test_modules_are_fitted_one_by_one() -> None:
    widths = [row("width", ELEMENT=8, IN=1, OUT=n) for n in (2, 3, 4)]
    branches = [row("branch", BITS=8)] * 2  # alike, so that each is left out alone
    tables = [row("code_table", LANES=1, IN=4, OUT=4, BLOCK=0)]
    rows = [*measured(queues(), LUTS), *(replace(one, area=Resources(9, 9)) for one in (*widths, *branches, *tables))]
    found = fit_all(rows[::-1], "ecp5")
    assert list(found) == ["branch", "fifo", "width"]  # nothing is left to predict the only table from
    assert found["fifo"] == fit_all(rows[: len(queues())], "ecp5")["fifo"]
    assert found["branch"].luts.runs == 2
