"""What the primitives of a mapped netlist take on each family.

The rules are the packers' (nextpnr's source, AMD's user guides); where the packer is Vivado, `_sites` estimates.
A primitive that is in no table is an error: nothing is left out of a count in silence.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from math import ceil

from hwdse.cost import Resources
from hwdse.flow import Measured
from hwdse.flows._netlist import Bit, Cell
from hwdse.flows._sites import sites

_FREE = Resources()
_FF = Resources(ffs=1)
_DSP = Resources(dsps=1)
_BRAM = Resources(brams=1)


def _ram(luts: int) -> Resources:
    return Resources(luts=luts, lutrams=luts)


def _each(area: Resources, types: str) -> dict[str, Resources]:
    return dict.fromkeys(types.split(), area)


# LUTs of a RAM: UG474 (v1.8) table 2-3 and UG574 (v1.5), 'Distributed RAM'. LUTs and carries: `_sites`.
_AMD = {
    **_each(_FREE, "LUT1 LUT2 LUT3 LUT4 LUT5 LUT6 INV CARRY4 CARRY8 MUXF7 MUXF8 MUXF9 VCC GND"),
    **_each(_FF, "FDRE FDSE FDCE FDPE FDRE_1 FDSE_1 FDCE_1 FDPE_1"),
    **_each(_DSP, "DSP48E1 DSP48E2 DSP58"),
    **_each(_BRAM, "RAMB18E1 RAMB18E2"),
    **_each(Resources(brams=2), "RAMB36E1 RAMB36E2"),
    "URAM288": Resources(urams=1),
    **_each(_ram(1), "RAM32X1S RAM64X1S SRL16E SRLC32E"),
    **_each(_ram(2), "RAM32X1D RAM64X1D RAM128X1S"),
    **_each(_ram(4), "RAM32M RAM64M RAM128X1D RAM256X1S"),
    **_each(_ram(8), "RAM32M16 RAM64M8 RAM256X1D RAM512X1S RAM64X8SW RAM32X16DR8"),
}
# A RAM of 16x4 takes four LUTs for data, and its write port two more: nextpnr-ecp5's and -nexus's RAMW lies on them.
_ECP5 = {
    **_each(_FREE, "PFUMX L6MUX21 VLO VHI GSR"),
    "LUT4": Resources(luts=1),
    "CCU2C": Resources(luts=2),
    "TRELLIS_DPR16X4": _ram(6),
    "TRELLIS_FF": _FF,
    "DP16KD": _BRAM,
    "PDPW16KD": _BRAM,
    "MULT18X18D": _DSP,
}
_NEXUS = {
    **_each(_FREE, "VLO VHI GSR INV IB OB OSCA"),  # INV: `_inverters`
    "LUT4": Resources(luts=1),
    **_each(Resources(luts=2), "CCU2 WIDEFN9"),
    "DPR16X4": _ram(6),
    **_each(_FF, "FD1P3BX FD1P3DX FD1P3IX FD1P3JX"),
    **_each(_BRAM, "DP16K PDP16K PDPSC16K"),
    **_each(_DSP, "MULT18X18 MULTADDSUB18X18 MULTPREADD18X18"),
    **_each(Resources(dsps=2), "MULT18X36 MULTADDSUB9X9WIDE"),
    "MULT36X36": Resources(dsps=4),
}
_ICE40 = {
    "SB_CARRY": _FREE,  # `_carries`
    "SB_LUT4": Resources(luts=1),
    **_each(_FF, "SB_DFF SB_DFFE SB_DFFSR SB_DFFR SB_DFFSS SB_DFFS SB_DFFESR SB_DFFER SB_DFFESS SB_DFFES"),
    **_each(_BRAM, "SB_RAM40_4K"),
    "SB_MAC16": _DSP,
}
# An ALU is a LUT in another mode. nextpnr keeps all eight LUTs of a tile for a RAM: four hold data, and it uses the
# inputs of the others.
_GOWIN = {
    **_each(_FREE, "MUX2_LUT5 MUX2_LUT6 MUX2_LUT7 MUX2_LUT8 VCC GND GSR IBUF OBUF"),
    **_each(Resources(luts=1), "LUT1 LUT2 LUT3 LUT4 ALU"),
    **_each(_ram(8), "RAM16SDP1 RAM16SDP2 RAM16SDP4"),
    **_each(_FF, "DFF DFFE DFFS DFFSE DFFR DFFRE DFFP DFFPE DFFC DFFCE"),
    **_each(_BRAM, "SP SPX9 SDPB SDPX9B DPB DPX9B"),
    "MULT18X18": _DSP,
    "MULT36X36": Resources(dsps=4),
}
_HALF_DSP = "MULT9X9"  # two in the place of one of 18 x 18


def _none(cells: Sequence[Cell]) -> int:
    return 0


def _carries(cells: Sequence[Cell]) -> int:
    """What the carries of an iCE40 add to its LUTs, by nextpnr's `pack_carries` and `merge_carry_luts`.

    A carry shares a cell with the LUT that has its operands at I1 and I2, and its input at I3; the first of a chain,
    with the only LUT of its operands. A cell with a carry alone takes in a LUT of two inputs in front of it.
    """
    luts = {out: lut for lut in cells if lut.type == "SB_LUT4" if isinstance(out := lut.bit("O"), int)}
    by_operands = defaultdict[tuple[Bit | None, ...], list[int]](list)
    for out, lut in luts.items():
        by_operands[_operands(lut, "I1", "I2")].append(out)
    alone, taken = list[Cell](), set[int]()
    for carry in (cell for cell in cells if cell.type == "SB_CARRY"):
        match = [out for out in by_operands[_operands(carry, "I0", "I1")] if out not in taken]
        if isinstance(carry.bit("CI"), int):
            match = [out for out in match if luts[out].bit("I3") == carry.bit("CI")][:1]
        if len(match) == 1 and _operands(carry, "I0", "I1") != (None, None):
            taken.add(match[0])
        else:
            alone.append(carry)
    return len(alone) - _merged(alone, {out: lut for out, lut in luts.items() if out not in taken}, cells)


def _merged(carries: Sequence[Cell], luts: Mapping[int, Cell], cells: Sequence[Cell]) -> int:
    """LUTs of two inputs that lie in the cell of a carry which they drive; one with a flip-flop stays where it is."""
    registered = {cell.bit("D") for cell in cells}
    small = {out for out, lut in luts.items() if _operands(lut, "I0", "I1") == (None, None) and out not in registered}
    merged = 0
    for carry in carries:
        driver = next((bit for bit in _operands(carry, "I0", "I1") if bit in small), None)
        if isinstance(driver, int):
            small.remove(driver)
            merged += 1
    return merged


def _operands(cell: Cell, *ports: str) -> tuple[Bit | None, ...]:
    """What the ports are connected to; a constant 0 is an open input."""
    bits = (cell.bit(port) for port in ports)
    return tuple(None if bit in ("0", "x") else bit for bit in bits)


def _inverters(cells: Sequence[Cell]) -> int:
    """Inverters of a Nexus that become LUTs; one in front of clocks, enables and resets alone is part of their pins."""
    logic = {net for cell in cells if cell.type in _NEXUS_LOGIC for net in cell.nets()}
    logic |= {bit for cell in cells if isinstance(bit := cell.bit("D"), int)}  # of a flip-flop
    inverters = [cell for cell in cells if cell.type == "INV"]
    read = {net for cell in cells if cell.type != "INV" for net in cell.nets()}
    return sum(cell.bit("Z") in logic or cell.bit("Z") not in read for cell in inverters)  # not read: an output


_NEXUS_LOGIC = ("LUT4", "CCU2", "WIDEFN9", "DPR16X4")

_TABLES: Mapping[str, tuple[Mapping[str, Resources], Callable[[Sequence[Cell]], int]]] = {
    "xc7": (_AMD, sites),
    "xcup": (_AMD, sites),
    "ecp5": (_ECP5, _none),
    "ice40": (_ICE40, _carries),
    "nexus": (_NEXUS, _inverters),
    "gowin": (_GOWIN, _none),
}


def count(cells: Sequence[Cell], family: str) -> Measured:
    """The area of a netlist; ValueError where it has a primitive that nobody has said the size of."""
    if family not in _TABLES:
        raise ValueError(f"no primitives are known of family {family!r}; known: {', '.join(_TABLES)}")
    table, more_luts = _TABLES[family]
    types = Counter(cell.type for cell in cells)
    for name in sorted(types.keys() - table.keys() - {_HALF_DSP}):
        raise ValueError(f"no size is known for {family} primitive {name!r}; known: {', '.join(sorted(table))}")
    area = sum((_times(table[name], number) for name, number in types.items() if name != _HALF_DSP), Resources())
    area += Resources(luts=more_luts(cells), dsps=ceil(types[_HALF_DSP] / 2))
    return Measured(area, None, "netlist", tuple(sorted(types.items())))


def _times(area: Resources, n: int) -> Resources:
    return Resources(area.luts * n, area.ffs * n, area.dsps * n, area.brams * n, area.urams * n, area.lutrams * n)
