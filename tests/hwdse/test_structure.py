"""The structural counts of every leaf module, against counts by hand, and as arrays against one unit at a time."""

import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from hwdse import units
from hwdse.calibration.sample import points
from hwdse.design import Folding
from hwdse.formats import FloatFormat, IntFormat
from hwdse.matrix_vector import MatrixVector
from hwdse.measurements import read
from hwdse.netlist import Unit
from hwdse.structure import Parts, Table, blocks, modules, parts
from hwdse.structure.blocks import (
    FABRICS,
    Counts,
    adder,
    bits_for,
    ceil_div,
    codes_comparator,
    comparator,
    each,
    increment,
    rom,
    tree_bits,
    wraps,
)
from hwdse.structure.decoders import decoder, supports
from hwdse.structure.lanes import DSP, PACKED, SHIFT, lane
from hwdse.structure.memories import Ram, block_choices, memory_blocks, ram
from hwdse.target import fpga
from hwdse.window import Window, window_parallel

LUT4, LUT6 = FABRICS["ecp5"], FABRICS["xcup"]
INT8, INT4 = IntFormat(8), IntFormat(4)
E2M1 = FloatFormat(2, 1)


def table(*rows: Mapping[str, int]) -> Table:
    """Parameters of units, an element each."""
    return {key: np.array([row[key] for row in rows], np.int64) for key in rows[0]}


def of(unit: Unit, family: str) -> Parts:
    """The parts of one unit."""
    return parts(unit.module, table(dict(unit.parameters)), FABRICS[family])


def luts(found: Parts, *names: str) -> list[float]:
    """Of the one unit's parts."""
    return [round(float(found[name].luts[0]), 6) for name in names]


def ffs(found: Parts, *names: str) -> list[float]:
    """Of the one unit's parts."""
    return [round(float(found[name].ffs[0]), 6) for name in names]


def rounded(counts: Sequence[Counts]) -> list[float]:
    """All, without the error of a float."""
    return [round(float(count), 6) for count in counts]


# ---- blocks --------------------------------------------------------------------------------------


def test_chains() -> None:
    # A carry chain has a LUT for each bit; a CCU2C of ECP5 is two bits, so that 9 bits take 10.
    assert adder([8, 9], LUT6).tolist() == [8, 9]
    assert adder([8, 9], LUT4).tolist() == [8, 10]
    assert adder([8, 9], FABRICS["gowin"]).tolist() == [8, 9]
    # A LUT6 compares two bits of both operands, a LUT4 one.
    assert [float(comparator(8, fabric)) for fabric in (LUT6, LUT4)] == [4, 8]
    # Five numbers of 4 bits whose sum has 7: 5 and 5 bits for two pairs, 6 for these four, 7 with the fifth.
    assert tree_bits(5, 4, 7, LUT6) == 5 + 5 + 6 + 7
    assert tree_bits(5, 4, 7, LUT4) == 6 + 6 + 6 + 8
    assert tree_bits(1, 4, 4, LUT4) == 0


def test_chains_of_nexus_take_their_first_carry_from_a_pair() -> None:
    assert adder([8, 9], FABRICS["nexus"]).tolist() == [10, 12]
    assert tree_bits(5, 4, 7, FABRICS["nexus"]) == 8 + 8 + 8 + 10
    assert increment([4, 5, 6], FABRICS["nexus"]).tolist() == [4, 8, 8]


def test_short_sums_of_lattice_are_no_chains() -> None:
    # Of 4 bits: four sums and the carry in their middle. Of 3 bits, every one is a function of at most four inputs.
    assert adder([3, 4, 5], LUT4).tolist() == [3, 5, 6]
    assert adder([3, 4, 5], FABRICS["ice40"]).tolist() == [3, 4, 5]
    assert increment([4, 5], LUT4).tolist() == [4, 6]


def test_comparisons_of_codes() -> None:
    assert codes_comparator([4, 6, 8], LUT6).tolist() == [2, 3, 4 + 2]
    assert codes_comparator([3, 4, 5, 8], LUT4).tolist() == [3, 5, 9, 15]
    # On Nexus a chain of 6 or 8 bits, the pair in front of it, and a LUT that inverts each bit.
    assert codes_comparator([5, 8], FABRICS["nexus"]).tolist() == [6 + 2 + 5, 8 + 2 + 8]
    assert codes_comparator([4, 8], FABRICS["ice40"]).tolist() == [8, 15]


def test_counters_that_are_set_back() -> None:
    assert [int(wraps(states)) for states in (1, 2, 3, 8, 9)] == [0, 0, 2, 0, 4]
    assert int(wraps(9, 8, 5)) == 4 + 3


def test_counts_of_states() -> None:
    states = np.array([1, 2, 3, 4, 5, 1023, 1024, 1025])
    assert bits_for(states).tolist() == [0, 1, 2, 2, 3, 10, 10, 11]
    assert ceil_div([7, 8, 9], 4).tolist() == [2, 2, 3]


def test_memories() -> None:
    # 32 x 8 bits: two rows of two 16 x 4 RAMs of six LUTs, and 8 multiplexers between the rows; 14 bits in eight LUT6.
    assert rounded(ram(32, 8, LUT4)) == [24, 8]
    assert rounded(ram(32, 8, LUT6)) == [8, 0]
    # 64 words: RAM64M8 of 7 bits, two of them; RAM32M16 would take two rows of one and multiplexers.
    assert rounded(ram(64, 7, LUT6)) == [8, 0]
    assert rounded(ram(32, 8, FABRICS["ice40"])) == [0, 0]
    # 128 words: two RAM64M8 for each 7 bits, and a LUT6 that chooses for each bit; 96 words: three RAM32M16, which
    # cost the mapper less than two RAM64M8 of which half is not used.
    assert rounded(ram(128, 14, LUT6)) == [4 * 8, 14]
    assert rounded(ram(96, 14, LUT6)) == [3 * 8, 14]
    # 64 words of 4 bits: a LUT6 each, or four LUT4 joined by the slice; of an iCE40, by three LUTs.
    assert rounded(rom(64, 4, LUT6)) == [4, 0, 0]
    assert rounded(rom(64, 4, LUT4)) == [0, 4 * 4, 0]
    assert rounded(rom(64, 4, FABRICS["ice40"])) == [0, 4 * 4, 4 * 3]
    # 128 words: two LUT6 joined by the slice; eight LUT4, and a LUT between the two that the slice has joined.
    assert rounded(rom(128, 4, LUT6)) == [0, 4 * 2, 0]
    assert rounded(rom(128, 4, LUT4)) == [0, 4 * 8, 4]
    assert rounded(rom(256, 4, LUT6)) == [0, 4 * 4, 4]
    # Of 2 words a column is constant, the address or its inverse: no LUT.
    assert rounded(rom(2, 4, LUT6)) == [0, 0, 0]


def test_functions_are_called_once_for_equal_rows() -> None:
    calls = list[tuple[int, ...]]()

    def join(*row: int) -> float:
        calls.append(row)
        return float(100 * row[0] + row[1])

    assert each(join, [1, 2, 1, 2], [[5], [6]]).tolist() == [[105, 205, 105, 205], [106, 206, 106, 206]]
    assert sorted(calls) == [(1, 5), (1, 6), (2, 5), (2, 6)]
    assert each(join, 3, 4).tolist() == 304
    many = [np.arange(2) << 20] * 8  # more than 64 bits together
    assert each(lambda *row: float(sum(row)), *many).tolist() == [0, 8 << 20]


# ---- products ------------------------------------------------------------------------------------


def test_products() -> None:
    two = IntFormat(2, False)
    # 2 x 2 bits are four functions of four inputs: two in a LUT6, one in a LUT4.
    assert lane(SHIFT, 1, two, two, 4, LUT6).multiplier == 2
    assert lane(SHIFT, 1, two, two, 4, LUT4).multiplier == 4
    # Booth, 4 x 4 signed bits: two digits of radix 4, each a chain of 4 + 2 bits; with LUT4 a bit takes a second LUT
    # that selects the multiple, and the second digit one that recodes it.
    assert lane(SHIFT, 2, INT4, INT4, 8, LUT6).multiplier == 6 + 6
    assert lane(SHIFT, 2, INT4, INT4, 8, LUT4).multiplier == 2 * (6 + 6) + 1


def test_products_of_minifloats() -> None:
    found = lane(SHIFT, 1, E2M1, E2M1, 9, LUT4)
    # Significands of 2 bits: four functions of four inputs.
    assert found.multiplier == 4
    # Shifted by 0 to 4 (each by 0 to 2), 8 bits at most: by one 5 multiplexers, by two 7, by four 8.
    assert found.shifter == 5 + 7 + 8
    # Two signs: one LUT makes theirs, and the adder's carry chain inverts.
    assert found.signs == 1
    assert lane(PACKED, 0, INT4, INT4, 7, LUT6).multiplier == 0
    assert lane(DSP, 0, E2M1, E2M1, 9, LUT6).multiplier == 0


# ---- units ---------------------------------------------------------------------------------------


def matrix(**changes: object) -> MatrixVector:
    """4 x 16 int4 weights by int4 activations, in 2 x 4 lanes: 4 terms and 2 passes."""
    value: dict[str, object] = {"rows": 4, "dot": 16, "folding": Folding(2, 4)} | changes
    return MatrixVector(INT4, INT4, **value)  # type: ignore[arg-type]


def test_matrix_vector_unit() -> None:
    unit = matrix().unit([0] * 8)
    names = ("adder trees", "accumulators", "vector memory", "kept vectors", "control")
    # Products of 7 bits (49 at most). Two trees of two adders of 8 and one of 9 bits; accumulators of 11 (16 x 49).
    # The kept vector, 4 x 16 bits: 4 RAMs of 6 LUTs, or two of 8; its 16 bits come from the input or from the RAM.
    # Counters of 4 terms, 2 passes and 8 words.
    assert luts(of(unit, "ecp5"), *names) == [2 * (8 + 8 + 10), 2 * 12, 4 * 6, 16, 2 + 1 + 3]
    assert luts(of(unit, "xcup"), *names) == [2 * (8 + 8 + 9), 2 * 11, 2 * 8, 16 / 2, 2 + 1 + 3]
    # Registers of 8 products, of 2 sums of 9 bits, and of 2 accumulators and their outputs.
    assert ffs(of(unit, "ecp5"), "products", "adder trees", "accumulators") == [8 * 7, 2 * 9, 2 * 2 * 11]
    # 32 columns of 8 random words: 254 functions that are not constant, each there with 1 - (255 / 256) ** 32.
    columns = 254 * (1 - (255 / 256) ** 32)
    assert of(unit, "ecp5")["operands"].ffs[0] == pytest.approx(2 * 16 + columns)


def test_streamed_matrix_vector_unit() -> None:
    kept, streamed = matrix().unit([0] * 8), matrix(streamed=True).unit()
    found = of(streamed, "ecp5")
    assert luts(found, "weights", "control") == [0, 2 + 1]  # no memory, and no counter of its words
    assert ffs(found, "operands") == [2 * 16 + 32]  # every column of a stream is a register
    for name in ("adder trees", "accumulators", "multiplier", "vector memory"):
        assert luts(found, name) == luts(of(kept, "ecp5"), name)


SEARCH = {"LANES": 1, "WORDS": 4, "ACC": 8, "WIDE": 0, "OE": 0, "OM": 3, "OS": 0, "BLOCK": 0}


def test_thresholds_one_bit_at_a_time() -> None:
    # 3 comparisons of 8 bits; registers of the sum between the steps, and of 1 + 2 + 3 bits of the code.
    # Channels are counted with 2 bits; 3 bits say which step is busy, and 2 steps keep the channel.
    for family, compared in (("ecp5", 24), ("xcup", 12)):
        found = parts("threshold_search", table(SEARCH), FABRICS[family])
        assert luts(found, "comparators", "constant comparators", "control") == [compared, 0, 2]
        assert ffs(found, "comparators", "indices", "control") == [2 * 8, 6, 3 + 2 * 2]
    # With one channel the first comparison is with a constant.
    found = parts("threshold_search", table(SEARCH | {"WORDS": 1}), LUT4)
    assert luts(found, "comparators", "constant comparators", "control") == [16, 8, 0]


def test_thresholds_all_at_once() -> None:
    row = SEARCH | {"WORDS": 1, "COUNT": 7, "FIRST": 0}
    # 7 comparisons of 8 bits; 7 results become 3 bits of code in 4 full adders.
    for family, compared in (("ecp5", 56), ("xcup", 28)):
        found = parts("threshold_parallel", table(row), FABRICS[family])
        assert luts(found, "comparators", "constant comparators", "multiplexers") == [0, compared, 4]
        assert ffs(found, "multiplexers", "control") == [3, 0]
    assert luts(parts("threshold_parallel", table(row | {"WORDS": 4}), LUT4), "comparators", "control") == [56, 2]


def test_window_in_parallel() -> None:
    unit = window_parallel(Window(8, 8, (3, 3), (1, 1), (1, 1), 1, 8, 1, 1), block=False)
    # Two lines of 8 pixels, 16 bits side by side: 4 RAMs of 6 LUTs, or two RAM32M16 of 8.
    # Two rows and two columns of taps are outside at times, and four taps by either; counters of 8 columns, and of 8
    # rows; an address of 8 pixels. The first window is there after a line and a pixel, so that the 9 pixels to wait for
    # are counted with 4 bits. The last ones are complete after the image, from a place on that is 3 + 3 + 4 bits.
    for family, memory in (("ecp5", 24), ("xcup", 16)):
        found = of(unit, family)
        assert luts(found, "memory", "memory multiplexers", "borders", "corners") == [memory, 0, 2 + 2, 4]
        assert luts(found, "control", "addresses", "gaps", "edge") == [3 + 3 + 4, 3, 4, round(10 / 3, 6)]
        # A row and an image begin after one pixel each; all counts are powers of two.
        assert luts(found, "restarts", "wraps") == [0, 0]
        # Registers of the RAM's output, of 2 pixels in each of 3 rows, and of 9 at the output.
        assert ffs(found, "lines", "taps", "outputs") == [16, 3 * 2 * 8, 9 * 8]


def test_window_in_parallel_that_wraps() -> None:
    # 9 x 9 pixels, 3 x 3 taps in steps of 2 without padding: 4 x 4 windows, none after the image, lines of 9. A row
    # begins after 2 * 9 - 3 * 2 = 12 pixels, an image after 3 * 9 - 3 * 2 = 21.
    found = of(window_parallel(Window(9, 9, (3, 3), (2, 2), (0, 0), 1, 8, 1, 1), block=False), "ecp5")
    assert luts(found, "borders", "corners", "edge", "wraps") == [0, 0, 0, 4]
    assert luts(found, "gaps", "restarts") == [5, 5]


def test_window_in_series() -> None:
    row = {"LANES": 2, "BITS": 4, "CF": 1, "H": 8, "W": 8, "KH": 3, "KW": 3, "SH": 1, "SW": 1, "PH": 1, "PW": 1}
    row |= {"GROUPS": 1, "D": 32, "BLOCK": 0}
    found = parts("window_serial", table(row), LUT4)
    # A ring of 32 pixels of 8 bits: two rows of two RAMs of 6 LUTs, 8 multiplexers. Its address has 5 bits, one to
    # write, which counts, and one to read, which is subtracted from and added to: in chains of 6. Places on the padded
    # image count to 10, so 4 bits twice, whose sums are 5 LUTs; taps to 3, so 2 bits twice.
    names = ("memory", "memory multiplexers", "addresses", "moves", "places", "counters", "wraps", "padding")
    assert luts(found, *names) == [24, 8, 3 * 6, 5, 2 * 5, 4, 4, 6]
    assert ffs(found, "outputs", *names) == [8, 0, 0, 10, 0, 8, 4, 0, 1]
    # Pixels ahead: at most 2 lines of 8 and 4, which is less than the ring's 32, so 5 bits and one more.
    assert luts(found, "pixel counts") == [6 + 6]
    # In steps of 2 without padding the columns and rows are even. A window of one pixel, of every pixel, has no place.
    apart = parts("window_serial", table(row | {"SH": 2, "SW": 2, "PH": 0, "PW": 0}), LUT4)
    assert ffs(apart, "places") == [2 * 2]
    single = parts("window_serial", table(row | {"KH": 1, "KW": 1, "PH": 0, "PW": 0}), LUT4)
    assert luts(single, "places", "moves") == [0, 0]


def test_queue() -> None:
    # Of 33 beats: one in the output register, so 32 in the RAM.
    assert luts(of(units.fifo(8, 33), "ecp5"), "memory", "memory multiplexers", "pointers") == [24, 8, 2 * 6]
    assert luts(of(units.fifo(8, 33), "xcup"), "memory", "memory multiplexers", "pointers") == [8, 0, 2 * 5]
    assert ffs(of(units.fifo(8, 33), "ecp5"), "output", "pointers", "spare", "handshake") == [8, 10, 0, 3]
    assert luts(of(units.fifo(8, 33), "ecp5"), "comparisons", "handshake") == [5, 6]
    # Of 2: two registers, one behind a multiplexer. Of 1: a register.
    assert luts(of(units.fifo(8, 2), "ecp5"), "memory", "pointers", "spare") == [0, 0, 8]
    assert luts(of(units.fifo(8, 2), "xcup"), "spare") == [4]  # two in a LUT6
    assert ffs(of(units.fifo(8, 2), "ecp5"), "output", "pointers", "spare", "handshake") == [8, 0, 8, 2]
    assert ffs(of(units.fifo(8, 1), "ecp5"), "output", "spare", "handshake") == [8, 0, 1]
    # That it is free is the inverse of that it is full: on Nexus an inverter at a port, on AMD in the LUT beside.
    assert [luts(of(units.fifo(8, 1), f), "handshake") for f in ("ecp5", "nexus", "xcup")] == [[1], [0], [0]]


def test_change_of_width() -> None:
    # 8 elements of 8 bits one by one: 64 registers, of which 56 take the next element or the new beat; counted by 3
    # bits. Up to four elements are counted in LUTs that are there anyway; eight take two more, and three for the last.
    for family in ("ecp5", "xcup"):
        found = of(units.width(8, 8, 1), family)
        assert luts(found, "data", "control", "last state") == [56, 2, 3]
        assert luts(of(units.width(8, 4, 1), family), "control") == [0]
        assert ffs(found, "data", "control") == [64, 3]
    assert luts(of(units.width(8, 1, 4), "ecp5"), "data") == [0]  # registers with enables


def test_residual_add() -> None:
    # Sums of two int8 have 9 bits: a chain of 9, in pairs 10, for each of 2 lanes.
    unit = units.residual_add(INT8, 2)
    assert luts(of(unit, "xcup"), "adders", "decoders", "decoded bits") == [18, 0, 0]
    assert luts(of(unit, "ecp5"), "adders", "decoders", "decoded bits") == [20, 0, 0]
    assert ffs(of(unit, "ecp5"), "adders") == [18]
    # Without a sign the top bit is zero, and on AMD and iCE40 the one below it is the carry.
    unsigned = units.residual_add(IntFormat(8, False), 1)
    assert [luts(of(unsigned, family), "adders") for family in ("xcup", "ice40", "gowin")] == [[8], [8], [9]]
    assert ffs(of(unsigned, "ecp5"), "adders") == [9]
    # Two codes of e2m1 in fixed point: five bits that depend on four bits of the code.
    found = of(units.residual_add(E2M1, 1), "ecp5")
    assert luts(found, "decoders", "decoded bits") == [0, 2 * 5]


def test_decoders() -> None:
    # e2m1 is 0, 0.5, 1, 1.5, 2, 3, 4, 6: its lowest bit is set for odd magnitudes, 0.5 and 1.5, whatever the sign.
    assert supports(2, 1, 1) == (2, 4, 4, 4, 4)
    assert supports(0, 4, 0) == (1, 1, 1, 1)
    # Powers of two: 31 bits, one for each exponent. The lower two bits of the exponent less one, and the hidden bit,
    # select four (10 LUTs with those of the exponent); the higher three one of 31 for each of them.
    assert decoder(5, 0, 0, 4) == (10, 31)
    # A LUT6 adds a register to a function of five inputs; two of its own have two each, so that these take LUTs.
    assert [decoder(2, 2, 0, 6, absorbed)[1] for absorbed in (0, 2, 5)] == [2.5, 1.5, 0]
    assert decoder(0, 7, 1, 4) == (0, 0)


def test_sum_pool() -> None:
    # Sums of four int8 have 10 bits: a register of the sum, and one of the output.
    found = of(units.sum_pool(INT8, 1, 4), "ecp5")
    assert luts(found, "adders", "first taps", "memory", "control") == [10, 0, 0, 2]
    assert ffs(found, "adders") == [20]
    # With 16 groups the sums are in a RAM of 3 x 6 LUTs, and at the first tap are replaced.
    found = of(units.sum_pool(INT8, 1, 4, 16), "ecp5")
    assert luts(found, "adders", "first taps", "memory", "control") == [10, 10, 18, 2 + 4]


def test_max_pool() -> None:
    # Codes of 4 bits are compared in 3 and their sign; 9 taps are counted with 4 bits.
    unit = units.max_pool(INT4, 2, 9)
    assert luts(of(unit, "ecp5"), "comparators", "keys", "control", "wraps") == [2 * 5, 0, 4, 4]
    assert luts(of(unit, "xcup"), "comparators", "keys", "control") == [2 * 2, 0, 4]
    assert ffs(of(unit, "ecp5"), "comparators") == [2 * 4]
    # A signed minifloat is turned into a number that is ordered as it is, and back: a LUT for each bit below the sign.
    assert luts(of(units.max_pool(E2M1, 2, 9), "ecp5"), "keys") == [2 * 2 * 3]
    assert luts(of(units.max_pool(E2M1, 2, 9), "xcup"), "keys") == [2 * 3]


def test_table_of_codes() -> None:
    # 4 functions of 6 bits in 2 lanes: a LUT6 each, or four LUT4, which the slice joins.
    unit = units.code_table(list(range(16)) * 4, 4, 2)
    assert luts(of(unit, "xcup"), "tables", "table choices") == [8, 0]
    assert luts(of(unit, "ecp5"), "tables", "table choices") == [32, 0]
    assert luts(of(unit, "ice40"), "tables", "table choices") == [32, 24]
    assert ffs(of(unit, "ecp5"), "tables") == [8]


def test_branch() -> None:
    assert set(of(units.branch(8), "ecp5")) == {"rest"}  # two bits that say who has taken the beat, at any width


def test_an_unknown_module() -> None:
    known = "branch, code_table, fifo, max_pool, mvu, mvu_streamed, residual_add, sum_pool, threshold_parallel, "
    known += "threshold_search, width, window_parallel, window_serial"
    message = f"no parts are known of leaf module 'mvv'; known: {known}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        parts("mvv", table({"BITS": 8}), LUT4)
    assert ", ".join(modules()) == known


# ---- DSPs and block RAM --------------------------------------------------------------------------


def numbers(module: str, family: str, *rows: Mapping[str, int]) -> tuple[Sequence[int], Sequence[int]]:
    """DSPs and block RAMs of units."""
    dsps, brams = blocks(module, table(*rows), family)
    return dsps.tolist(), brams.tolist()


def test_block_rams() -> None:
    # Aspect ratios of 18 Kib: 512 x 36, 1024 x 18, 2048 x 9, ...; of an iCE40's 4 Kib: 256 x 16, 512 x 8, ...
    assert memory_blocks([512, 513, 1024, 2048, 2049], [36, 36, 18, 9, 9], "ecp5").tolist() == [1, 2, 1, 1, 2]
    assert memory_blocks([256, 512, 512], [16, 8, 9], "ice40").tolist() == [1, 1, 2]
    assert memory_blocks(512, 36, "asic") == 0


def test_columns_that_are_left_share_a_block() -> None:
    # Two rows of 2048 x 9: 22 columns each, so that 44 fill five ports of 9, where 4096 x 4 would take six blocks.
    words, bits = [256, 512, 1024, 2048, 4096], 22
    assert memory_blocks(words, bits, "gowin").tolist() == [1, 1, 2, 3, 5]
    assert rounded([block_choices(1, n, bits, FABRICS["gowin"], rom=True) for n in (2048, 4096)]) == [0, 22]
    # What is written has a byte of 9 bits for each enable: 22 columns are 27.
    assert memory_blocks(4096, bits, "gowin", rom=False) == 6
    # 4 Kib: 192 bits of 256 words are 12 ports of 16; 512 words that are never written fill 512 x 8 just as well.
    assert memory_blocks([256, 512], 192, "ice40").tolist() == [12, 24]


def test_an_ice40_has_ram_in_blocks_or_in_registers() -> None:
    def memory(words: int, bits: int, *, block: int = 0, clears: bool = False, family: str = "ice40") -> Ram:
        sizes = np.array(words), np.array(bits), np.array(True), np.array(block)
        return Ram(*sizes, FABRICS[family], np.array(clears))

    # A block costs 64 bits and its read port two; what clears a read, four more.
    assert [int(memory(11, bits).blocks) for bits in (6, 7)] == [0, 1]
    assert [int(memory(11, 6, block=1).blocks), int(memory(10, 7, clears=True).blocks)] == [1, 0]
    assert [int(memory(words, 16, family="ecp5").blocks) for words in (16, 128)] == [0, 0]
    found = memory(4, 8).parts("memory")
    assert [float(one.ffs) for one in found.values()] == [0, 4 * 8, 0, 0, 0]
    # Of four words, three LUTs choose for each bit; each word has an enable.
    assert [float(found[f"memory {name}"].luts) for name in ("multiplexers", "enables", "clears")] == [24, 4, 0]
    found = memory(64, 8, clears=True).parts("memory")
    assert [float(one.luts) for one in found.values()] == [0, 0, 0, 0, 8]  # its pins cannot clear
    assert [int(memory(4, 8).registered), int(memory(64, 8).registered)] == [1, 0]


def test_blocks_of_queues() -> None:
    def row(bits: int, depth: int, block: int) -> dict[str, int]:
        return {"BITS": bits, "DEPTH": depth, "BLOCK": block}

    rows = (row(18, 1024, 1), row(18, 1024, 0), row(24, 1024, 1))
    assert numbers("fifo", "ecp5", *rows) == ([0, 0, 0], [1, 0, 2])


def test_blocks_of_thresholds() -> None:
    # Steps have 64, 128 and 256 words; from 129 on they are block RAM: one, of 8 bits.
    row = SEARCH | {"WORDS": 64, "BLOCK": 129}
    assert numbers("threshold_search", "ecp5", row, row | {"LANES": 2}, row | {"BLOCK": 0}) == ([0] * 3, [1, 2, 0])
    # 128 words of 7 thresholds of 8 bits: 56 bits, so two blocks of 512 x 36.
    row = SEARCH | {"WORDS": 128, "BLOCK": 128, "COUNT": 7}
    assert numbers("threshold_parallel", "ecp5", row, row | {"BLOCK": 129}) == ([0, 0], [2, 0])


def test_dsps() -> None:
    def row(style: int, **changes: int) -> dict[str, int]:
        return matrix().parameters | {"STYLE": style, "PE": 3, "SIMD": 4} | changes

    # Packed by two, 3 products of an activation take 2 blocks; there are 4 activations.
    shift, packed, single = row(SHIFT), row(PACKED, DSP_LANES=2), row(DSP)
    assert numbers("mvu", "ecp5", shift, packed, single) == ([0, 4 * 2, 4 * 3], [0, 0, 0])
    # On AMD a product of 8 bits is none for yosys, of 9 bits it is, and so are packed ones.
    assert numbers("mvu", "xcup", packed, single, single | {"WM": 4}) == ([4 * 2, 0, 4 * 3], [0, 0, 0])
    # Nexus and Gowin multiply operands of four bits and more, two pairs of up to nine bits in a block.
    for family in ("nexus", "gowin"):
        assert numbers("mvu", family, single, single | {"PE": 1, "SIMD": 3}, single | {"WM": 2}) == ([6, 2, 0], [0] * 3)
    # A magnitude of three bits has a fourth, zero, beside a number with a sign; beside another magnitude it has not.
    magnitudes = [single | {"AE": 0, "AM": 3, "AS": 0}, single | {"WE": 2, "WM": 2, "AE": 0, "AM": 3, "AS": 0}]
    assert numbers("mvu", "nexus", *magnitudes) == ([6, 0], [0, 0])
    # An UltraPlus multiplies for eleven bits of a product.
    assert numbers("mvu", "ice40", single | {"AM": 5}, single | {"AM": 6}) == ([0, 12], [0, 0])
    # A power of two times a magnitude is no multiplication.
    power = row(DSP, WE=3, WM=0, WS=1, AE=2, AM=1, AS=1)
    assert numbers("mvu", "ecp5", power) == ([0], [0])
    # 2 x 4 weights of 4 bits: 32 bits, 8 words.
    assert numbers("mvu", "ecp5", matrix(block=True).parameters) == ([0], [1])


@pytest.mark.parametrize("family", ["ecp5", "gowin", "ice40", "nexus", "xc7", "xcup"])
def test_blocks_are_those_that_were_measured(family: str) -> None:
    rows = read(Path(str(files("hwdse.cost_models") / "data")) / f"{family}.netlist.csv")
    for module in sorted({row.module for row in rows}):
        own = [row for row in rows if row.module == module]
        dsps, brams = numbers(module, family, *(dict(row.parameters) for row in own))
        assert [row.area.dsps for row in own] == dsps, module
        assert [row.area.brams for row in own] == brams, module


# ---- arrays --------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", ["u250", "ecp5_25f", "ice40_hx8k"])
def test_arrays_are_units_one_by_one(device: str) -> None:
    target = fpga(device)
    sample: dict[str, list[dict[str, int]]] = {}
    for point in points(target, 120):
        sample.setdefault(point.unit.module, []).append(dict(point.unit.parameters))
    assert set(sample) == set(modules()) - {"mvu_streamed"}
    fabric = FABRICS[target.family]
    for module, rows in sample.items():
        together = parts(module, table(*rows), fabric)
        for index, row in enumerate(rows):
            alone = parts(module, {key: np.array(value, np.int64) for key, value in row.items()}, fabric)
            assert list(alone) == list(together)
            for name, one in alone.items():
                # Without a sum whose order could differ, they are equal to the last bit.
                assert one.luts == together[name].luts[index], (module, name, row)
                assert one.ffs == together[name].ffs[index], (module, name, row)
        found = [blocks(module, table(row), target.family) for row in rows]
        dsps, brams = blocks(module, table(*rows), target.family)
        assert dsps.tolist() == [int(one[0]) for one, _ in found]
        assert brams.tolist() == [int(one[0]) for _, one in found]
