"""The matrix-vector unit as a value: what cannot be built, its parameters, and how its memories are filled."""

from dataclasses import replace
from itertools import product

import pytest

from hwdse.arithmetic import booth_multiplier, row_multiplier, significand_bits, tight_bits
from hwdse.calibration.sample import activations, weights
from hwdse.design import Folding
from hwdse.formats import decode_table, parse
from hwdse.matrix_vector import MatrixVector, Style, table_bits
from hwdse.netlist import Stream

ONE = MatrixVector(parse("int4"), parse("uint4"), 4, 12, Folding(2, 3))
ROWS, BOOTH_B, BOOTH_A = 1, 2, 3  # of METHOD


def test_values_are_code() -> None:
    from hwdse.formats import IntFormat  # noqa: F401

    assert eval(repr(ONE)) == ONE


def test_what_cannot_be_built() -> None:
    with pytest.raises(ValueError, match=r"^a product is made by shift, decode, table, dsp, not by 'magic'$"):
        replace(ONE, style="magic")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^PE divides 4, so a folding is not 3x3$"):
        replace(ONE, folding=Folding(3, 3))
    with pytest.raises(ValueError, match=r"^SIMD divides 12, so a folding is not 2x5$"):
        replace(ONE, folding=Folding(2, 5))
    for dsp in (None, "none"):
        with pytest.raises(
            ValueError, match=f"^a DSP block is dsp48e1, dsp48e2, dsp58, mult18x18d, mult18x18, sb_mac16, not {dsp!r}$"
        ):
            replace(ONE, style="dsp", dsp=dsp)
    with pytest.raises(ValueError, match=r"^a table of products has at most 8 address bits, too few for e4m1 x int4$"):
        replace(ONE, weight=parse("e4m1"), activation=parse("int4"), style="table")


@pytest.mark.parametrize("side", ["weight", "activation"])
def test_wide_exponents_are_priced_but_not_built(side: str) -> None:
    wide = replace(ONE, **{side: parse("e6m1")})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^hardware is built for at most 5 exponent bits, not for e6m1$"):
        wide.unit([0] * 8)


def test_a_matrix_has_its_words() -> None:
    for given in (None, 7, 9):
        with pytest.raises(ValueError, match=f"^a matrix has 8 words, not {given}$"):
            ONE.unit(None if given is None else [0] * given)


def test_sizes() -> None:
    assert (ONE.words, ONE.cycles, replace(ONE, groups=3).words) == (8, 8, 24)
    assert ONE.sum_bits == (12 * 7 * 15).bit_length() + 1
    unsigned = replace(ONE, weight=parse("uint4"))
    assert unsigned.sum_bits == (12 * 15 * 15).bit_length() + 1  # an output is two's complement whatever enters
    assert replace(ONE, narrow=(False, True)).sum_bits == (12 * 8 * 15).bit_length() + 1


def test_parameters_and_streams() -> None:
    unit = ONE.unit([0] * 8)
    assert unit.name == (
        "mvu(ROWS=4, DOT=12, PE=2, SIMD=3, STYLE=0, METHOD=2, WE=0, WM=3, WS=1, AE=0, AM=4, AS=0, SHARED=1,"
        " DSP_LANES=1, LATE=1, PRODUCT=8, SUM=10, ACC=12, BUFFER_BLOCK=0, GROUPS=1, BLOCK=0)"
    ).replace("METHOD=2", f"METHOD={ONE.parameters['METHOD']}")
    assert (unit.inputs, unit.outputs) == ((Stream("in", 12),), (Stream("out", 24),))
    streamed = replace(ONE, streamed=True).unit()
    assert (streamed.module, streamed.memories) == ("mvu_streamed", ())
    assert streamed.inputs == (Stream("in", 12), Stream("weights", 24))
    assert {"GROUPS", "BLOCK"}.isdisjoint(dict(streamed.parameters))
    assert replace(ONE, shared=False).unit([0] * 8).inputs == (Stream("in", 24),)


def test_settings_are_parameters() -> None:
    changes: list[tuple[MatrixVector, str, int]] = [
        (replace(ONE, groups=3), "GROUPS", 3),
        (replace(ONE, shared=False), "SHARED", 0),
        (replace(ONE, block=True), "BLOCK", 1),
        (replace(ONE, buffer_block=True), "BUFFER_BLOCK", 1),
        (replace(ONE, lut_inputs=4), "LATE", 0),
        (replace(ONE, style="decode"), "STYLE", 1),
        (replace(ONE, style="table"), "STYLE", 2),
        (replace(ONE, style="dsp", dsp="dsp48e2", weight=parse("e2m1")), "STYLE", 3),
        (replace(ONE, style="dsp", dsp="dsp48e2"), "STYLE", 4),
        (replace(ONE, style="dsp", dsp="dsp48e2"), "METHOD", 0),
        (replace(ONE, style="dsp", dsp="dsp48e2"), "DSP_LANES", 2),
        (replace(ONE, style="dsp", dsp="mult18x18d"), "DSP_LANES", 1),
        (replace(ONE, style="dsp", dsp="dsp48e2", shared=False), "DSP_LANES", 1),
        (replace(ONE, weight=parse("e4m3")), "WE", 4),
        (replace(ONE, activation=parse("ue2m2")), "AM", 2),
        (replace(ONE, narrow=(False, False)), "PRODUCT", (8 * 15).bit_length() + 1),
    ]
    for one, name, value in changes:
        assert one.parameters[name] == value, (one, name)


def test_columns_are_the_parameters_with_each_folding() -> None:
    foldings = [Folding(pe, simd) for pe in (1, 2, 4) for simd in (1, 3, 12)]
    packed = replace(ONE, style="dsp", dsp="dsp48e2")
    for one in (ONE, packed, replace(ONE, streamed=True), replace(packed, weight=parse("e2m1"), block=True)):
        columns = one.columns(foldings)
        for row, folding in enumerate(foldings):
            assert {key: column[row] for key, column in columns.items()} == replace(one, folding=folding).parameters


def test_widths_hold_what_they_must() -> None:
    for weight, activation in product(weights()[::3], activations()[::4]):
        one = MatrixVector(weight, activation, 2, 6, Folding(2, 3))
        for name, terms in (("PRODUCT", 1), ("SUM", 3), ("ACC", 6)):
            assert one.parameters[name] == tight_bits(weight, activation, terms)


@pytest.mark.parametrize("lut_inputs", [4, 6])
@pytest.mark.parametrize("style", ["shift", "decode"])
def test_the_smallest_multiplier_is_chosen(style: Style, lut_inputs: int) -> None:
    chosen = set()
    for weight, activation in product(weights(), activations()):
        one = MatrixVector(weight, activation, 1, 1, Folding(), style=style, lut_inputs=lut_inputs)
        sizes = []
        for fmt in (weight, activation):
            if fmt.exponent == 0:
                sizes.append((fmt.bits, fmt.signed))
            elif style == "shift":
                sizes.append((significand_bits(fmt), False))
            else:
                sizes.append((fmt.signed + fmt.mantissa + 2**fmt.exponent - 1, fmt.signed))
        (a, a_signed), (b, b_signed) = sizes
        luts = {
            ROWS: row_multiplier(a, b, lut_inputs),
            BOOTH_B: booth_multiplier(a, b, a_signed, b_signed, lut_inputs),
            BOOTH_A: booth_multiplier(b, a, b_signed, a_signed, lut_inputs),
        }
        method = one.parameters["METHOD"]
        assert luts[method] == min(luts.values()), one
        chosen.add(method)
    assert len(chosen) > 1


def test_the_memory_of_weights() -> None:
    words = list(range(100, 108))
    (memory,) = ONE.unit(words).memories
    assert (memory.name, memory.bits, memory.words) == ("weights", 24, tuple(words))


@pytest.mark.parametrize("names", ["e2m1 e2m1", "int3 uint4", "int4 ue2m1", "e3m1 int3"])
def test_the_table_of_products(names: str) -> None:
    """At address {weight, activation}, without the signs of minifloats."""
    weight, activation = (parse(name) for name in names.split())
    one = MatrixVector(weight, activation, 1, 1, Folding(), style="table")
    _, memory = one.unit([0]).memories
    bits = [fmt.bits if fmt.exponent == 0 else fmt.bits - fmt.signed for fmt in (weight, activation)]
    assert (memory.name, memory.bits) == ("products", one.parameters["PRODUCT"])
    assert len(memory.words) == 2 ** sum(bits) == 2 ** table_bits(weight, activation)
    for w, a in product(range(2 ** bits[0]), range(2 ** bits[1])):
        value = decode_table(weight)[w] / weight.lsb * (decode_table(activation)[a] / activation.lsb)
        assert memory.words[w << bits[1] | a] == int(value) % 2**memory.bits
    assert replace(one, streamed=True).unit().memories == (memory,)
