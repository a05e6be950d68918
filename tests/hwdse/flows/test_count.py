"""The packers' rules on netlists of a few cells."""

import re

import pytest

from hwdse.cost import Resources
from hwdse.flows._count import count
from hwdse.flows._netlist import Bit, Cell
from hwdse.flows._script import FAMILIES
from hwdse.flows._sites import sites


def cell(kind: str, **ports: Bit | tuple[Bit, ...]) -> Cell:
    """A primitive; a port of one bit is written without a tuple."""
    return Cell(kind, {port: bits if isinstance(bits, tuple) else (bits,) for port, bits in ports.items()})


def lut(out: int, *inputs: Bit) -> Cell:
    """An AMD LUT."""
    return cell(f"LUT{len(inputs)}", O=out, **{f"I{i}": bit for i, bit in enumerate(inputs)})


# ---- AMD slices ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "number"),
    [
        ([], 0),
        ([lut(10, 1, 2, 3, 4, 5, 6)], 1),
        ([lut(10, 1, 2, 3, 4, 5, 6), lut(11, 1)], 2),  # no O5 below six inputs
        ([lut(10, 1, 2, 3, 4, 5), lut(11, 1, 5)], 1),
        ([lut(10, 1, 2, 3, 4, 5), lut(11, 1, 6)], 2),  # six inputs together
        ([lut(10, 1, 2, 3), lut(11, 4, 5)], 1),  # no input in common
        ([lut(10, 1, 2, 3), lut(11, 4, 5, 6)], 2),
        ([lut(10, 1, 2, 3), lut(11, 4, 5, 6), lut(12, 7, 8)], 2),
        ([lut(10, 1, "0", "1"), lut(11, 2, 3, 4, 5)], 1),  # a constant is no input
        ([lut(10, 1, 2), lut(11, 1, 2, 3, 4), lut(12, 3, 4), lut(13, 5, 6, 7)], 2),
        ([cell("INV", I=1, O=10), lut(11, 1, 2)], 1),
        ([cell("MUXF7", I0=10, I1=11, S=1, O=12), lut(10, 1, 2, 3, 4, 5, 6), lut(11, 1, 2, 3, 4, 5, 7)], 2),
    ],
)
def test_sites(cells: list[Cell], number: int) -> None:
    assert sites(cells) == number
    assert sites(cells[::-1]) == number


def test_a_carry_bit_takes_a_site() -> None:
    carry = cell("CARRY4", S=(20, 21, 3, "0"), DI=(1, 30, 4, "0"), O=(40, 41, 42, 43))
    propagate, wide = [lut(20, 1, 2), lut(21, 5, 6, 7)], lut(30, 5, 8)
    assert sites([carry]) == 3  # where S is a net, a LUT passes it
    assert sites([carry, *propagate]) == 3
    assert sites([carry, *propagate, wide]) == 3  # in the O5 of the second: four inputs together
    assert sites([carry, *propagate, lut(30, 8, 9, 10)]) == 4
    assert sites([carry, *propagate, wide, lut(50, 1, 2)]) == 4


# ---- iCE40 ---------------------------------------------------------------------------------------


def logic(out: int, **inputs: Bit) -> Cell:
    """An iCE40 LUT."""
    return cell("SB_LUT4", O=out, **{f"I{i}": inputs.get(f"I{i}", "0") for i in range(4)})


def luts(*cells: Cell) -> int:
    """The LUTs of an iCE40 netlist."""
    return count(cells, "ice40").area.luts


def test_a_carry_shares_a_cell_with_the_lut_of_its_operands() -> None:
    first = cell("SB_CARRY", I0=1, I1=2, CI="0", CO=10)
    second = cell("SB_CARRY", I0=3, I1=4, CI=10, CO=11)
    assert luts(first) == luts(second) == 1
    assert luts(first, logic(20, I1=1, I2=2)) == 1
    assert luts(first, logic(20, I1=1, I2=3)) == 2
    assert luts(first, logic(20, I1=1, I2=2), logic(21, I1=1, I2=2, I3=5)) == 3  # nextpnr does not choose
    assert luts(second, logic(20, I1=3, I2=4, I3=10)) == 1
    assert luts(second, logic(20, I1=3, I2=4, I3=9)) == 2
    assert luts(first, second, logic(20, I1=1, I2=2), logic(21, I1=3, I2=4, I3=10)) == 2


def test_a_carry_alone_takes_in_a_small_lut() -> None:
    carry = cell("SB_CARRY", I0=20, I1=2, CI=9, CO=10)
    assert luts(carry, logic(20, I2=1, I3=2)) == 1
    assert luts(carry, logic(20, I1=1, I2=1, I3=2)) == 2
    assert luts(carry, logic(20, I2=1, I3=2), cell("SB_DFF", D=20, C=0, Q=30)) == 2


# ---- the others ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "types", "area"),
    [
        ("xc7", "RAM32M RAM64M RAM64X1D SRL16E SRLC32E RAM256X1S", Resources(luts=16, lutrams=16)),
        ("xcup", "RAM32M16 RAM64M8 RAM256X1D RAM512X1S", Resources(luts=32, lutrams=32)),
        ("xcup", "RAMB36E2 RAMB18E2 URAM288 DSP48E2 FDSE MUXF8", Resources(brams=3, urams=1, dsps=1, ffs=1)),
        ("ecp5", "CCU2C LUT4 PFUMX L6MUX21 PDPW16KD", Resources(luts=3, brams=1)),
        ("nexus", "CCU2 WIDEFN9 LUT4 VLO MULT36X36 MULT18X36", Resources(luts=5, dsps=6)),
        ("nexus", "MULT9X9 MULT9X9 MULT9X9 MULT18X18", Resources(dsps=3)),  # two of 9 bits for one of 18
        ("gowin", "ALU LUT1 MUX2_LUT5 SDPB MULT36X36 MULT9X9", Resources(luts=2, brams=1, dsps=5)),
        ("ice40", "SB_RAM40_4K SB_DFFESS", Resources(brams=1, ffs=1)),
    ],
)
def test_blocks(family: str, types: str, area: Resources) -> None:
    found = count([cell(kind) for kind in types.split()], family)
    assert found.area == area
    assert dict(found.cells) == {kind: types.split().count(kind) for kind in types.split()}


def test_an_inverter_of_a_nexus_is_free_before_clocks_enables_and_resets() -> None:
    inverter = cell("INV", A=1, Z=2)
    assert count([inverter, cell("FD1P3IX", D=3, SP=2, CK=4, Q=5)], "nexus").area.luts == 0
    assert count([inverter, cell("FD1P3IX", D=2, SP=3, CK=4, Q=5)], "nexus").area.luts == 1
    assert count([inverter], "nexus").area.luts == 1  # an output of the unit
    assert count([inverter, cell("LUT4", A=2, B=3, C=4, D=5, Z=6)], "nexus").area.luts == 2


@pytest.mark.parametrize("family", FAMILIES)
def test_an_unknown_primitive_is_an_error(family: str) -> None:
    pattern = f"^no size is known for {family} primitive 'MAGIC'; known: [A-Z0-9_, ]+$"
    with pytest.raises(ValueError, match=pattern):
        count([cell("MAGIC"), cell("VCC")], family)


def test_an_unknown_family() -> None:
    message = "no primitives are known of family 'versal'; known: xc7, xcup, ecp5, ice40, nexus, gowin"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        count([], "versal")
