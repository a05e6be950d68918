"""Chains are those that yosys makes, and prices as placed follow from the file of fits."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hwdse import placement
from hwdse.build import run
from hwdse.calibration.chains import SHAPES
from hwdse.contents import unit
from hwdse.cost import Clock
from hwdse.flows._netlist import read
from hwdse.flows.yosys import Yosys
from hwdse.netlist import Netlist, rtl_digest
from hwdse.placement import COUNTS, SIZE, START, Cells, Delays, Placement, parse, text
from hwdse.structure import Table
from hwdse.structure.blocks import FABRICS
from hwdse.structure.chains import chains
from hwdse.structure.depth import paths
from hwdse.target import fpga

ECP5 = FABRICS["ecp5"]
# What a chain is on each family: its cell, the carry that enters, the one that leaves.
CELLS = {"ecp5_25f": ("CCU2C", "CIN", "COUT"), "ice40_hx8k": ("SB_CARRY", "CI", "CO")}


def one(**parameters: int) -> Table:
    """One unit."""
    return {key: np.array(value, np.int64) for key, value in parameters.items()}


# ---- chains --------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES[:6:2], ids=lambda shape: shape.name)
def test_chains_are_those_of_the_netlist(shape: object, tmp_path: Path) -> None:
    """On ECP5, of every unit of three layers: a chain begins where no other cell of a chain gives the carry."""
    target, flow = fpga("ecp5_25f"), Yosys()
    cell, enters, leaves = CELLS[target.name]
    assert isinstance(shape, type(SHAPES[0]))
    for element in shape.elements(target):
        folder = run(flow.plan(Netlist.of(unit(element)), target), tmp_path, flow.programs())
        cells = [one for one in read(folder / "netlist.json.gz") if one.type == cell]
        carries = {one.bit(leaves) for one in cells}
        found = chains(element.module, one(**dict(element.parameters)), ECP5)
        said = found.adders + found.comparators + found.counters
        assert said == sum(one.bit(enters) not in carries for one in cells), element


def test_a_module_without_known_chains() -> None:
    known = "branch, code_table, fifo, max_pool, mvu, mvu_streamed, residual_add, sum_pool, threshold_parallel, "
    known += "threshold_search, width, window_parallel, window_serial"
    with pytest.raises(ValueError, match=f"^no chains are known of leaf module 'adder'; known: {known}$"):
        chains("adder", one(BITS=8), ECP5)
    with pytest.raises(ValueError, match=f"^no paths are known of leaf module 'adder'; known: {known}$"):
        paths("adder", one(BITS=8), ECP5)


# ---- prices --------------------------------------------------------------------------------------

NANOSECONDS = dict(zip((*COUNTS, START, SIZE), (1.0, 2.0, 0.125, 3.0, 4.0, 0.5, 1.5, 0.25), strict=True))
FITS = Placement(
    {
        "ecp5": Cells(
            {"adders": 4.0, "comparators": 3.0, "counters": 2.0},
            0.01,
            1.5,
            0.05,
            0.01,
            0.9,
            99,
            {"fifo": rtl_digest("fifo")},
        )
    },
    {"ecp5_25f": Delays(NANOSECONDS, 0.8, 1.25, 0.1, 0.9, 99)},
)


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Round numbers in place of the file's."""
    monkeypatch.setattr("hwdse.placement._file", lambda: FITS)


def test_the_file_round_trips() -> None:
    assert parse(text(FITS)) == FITS
    assert text(parse(placement.content())) == placement.content()


@pytest.mark.usefixtures("fits")
def test_cells_of_a_queue() -> None:
    """100 words: two pointers of 7 bits, each a counter; 16 words: pointers of 4 bits, no chain."""
    for depth, counters in ((100, 2), (16, 0)):
        extra = placement.added("fifo", one(BITS=8, DEPTH=depth, BLOCK=0), "ecp5", np.array(200.0))
        assert extra == 2.0 * counters + 0.01 * 200
    assert placement.added("fifo", one(BITS=8, DEPTH=16, BLOCK=0), "xcup", np.array(200.0)) is None


@pytest.mark.usefixtures("fits")
def test_the_slowest_path_is_the_clock() -> None:
    """An adder of 16 bits: a chain and 16 bits, where the handshake is two LUTs."""
    table, target = one(LANES=1, AE=0, AM=14, AS=1, SUM=16), fpga("ecp5_25f")
    period = 2.0 + 16 * 0.125 + 1.5 + 0.25 * 6
    found = placement.clock([placement.timing("residual_add", table, target)], target, 64.0)
    assert found == Clock(1000 / period, 0.8 * 1000 / period, 1.25 * 1000 / period)


@pytest.mark.usefixtures("fits")
def test_a_device_of_a_speed_grade_has_its_clocks() -> None:
    small, large, other = (
        placement.timing("branch", one(BITS=8), fpga(x)) for x in ("ecp5_25f", "ecp5_85f", "xczu3eg")
    )
    assert small == large is not None
    assert other is None
    assert placement.clock([small], fpga("ecp5_85f"), 64.0) == Clock(200.0, 160.0, 250.0)
    assert placement.clock([other], fpga("xczu3eg"), 64.0) is None


@pytest.mark.usefixtures("fits")
def test_an_enable_comes_through_the_units_that_follow() -> None:
    """Two LUTs of an enable, and one for each branch that follows, up to a queue, which is ready by a register."""
    target = fpga("ecp5_25f")
    branch = placement.timing("branch", one(BITS=8), target)
    queue = placement.timing("fifo", one(BITS=8, DEPTH=2, BLOCK=0), target)
    for units, levels in (([branch], 2), ([branch, branch, branch], 4), ([branch, branch, queue, branch], 3)):
        found = placement.clock(units, target, 1.0)
        assert found is not None
        assert found.mhz == pytest.approx(1000 / (levels + 1.5))


@pytest.mark.usefixtures("fits")
def test_words() -> None:
    assert placement.summary(fpga("ecp5_25f")) == (
        "With what placement adds, LUTs of 99 placed units are 5.0 % off; "
        "of 99 units routed on ecp5_25f the predicted clock is 10.0 % off."
    )
    assert placement.summary(fpga("xczu3eg")) == (
        "Placement, which no open tool does for this family, would add to them; the clock is assumed, not predicted."
    )


def test_a_changed_rtl_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    old = replace(FITS.cells["ecp5"], rtl={"fifo": "old", "mvu": rtl_digest("mvu")})
    monkeypatch.setattr("hwdse.placement._file", lambda: Placement({"ecp5": old}, {}))
    assert placement.summary(fpga("ecp5_25f")).endswith(
        "the clock is assumed, not predicted. STALE as placed: the RTL of fifo has changed since; "
        "run hwdse calibrate --placed."
    )


def test_what_ships_is_of_this_rtl() -> None:
    found = parse(placement.content())
    assert set(found.cells) == {"ecp5", "gowin", "ice40", "nexus"}
    assert set(found.delays) == {"ecp5_25f", "gw1nr9", "ice40_hx8k", "lifcl40"}
    assert all(one.stale == () for one in found.cells.values())


def test_a_block_ram_is_slower_to_read_than_a_register() -> None:
    """Of the fits that ship: weights in block RAM, whose output has no register, slow products down."""
    target = fpga("ecp5_25f")
    element = next(one for one in SHAPES[0].elements(target) if one.module == "mvu")
    parameters = dict(element.parameters)
    slow, fast = (placement.timing("mvu", one(**{**parameters, "BLOCK": block}), target) for block in (1, 0))
    assert slow is not None
    assert fast is not None
    assert slow.own > 1.25 * fast.own


def test_a_damaged_file_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    placement._file.cache_clear()
    monkeypatch.setattr("hwdse.placement.content", lambda: '{"cells": {}}')
    message = "placement.json in the data of the cost models holds no fits, `hwdse calibrate --placed` makes it: "
    with pytest.raises(ValueError, match=f"^{message}KeyError: 'delays'$"):
        placement.cells("ecp5")
