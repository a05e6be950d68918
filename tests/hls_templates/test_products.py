"""Every product of every pair of codes, however the hardware makes it, equals that of Python's integers.

The products of `dot` with one term: as what follows them gets them, inverted late or not and with their carries.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from hwdse.calibration.sample import activations, weights
from hwdse.design import Folding
from hwdse.formats import Format, IntFormat, parse
from hwdse.matrix_vector import TABLE_BITS, MatrixVector, Style, table_bits
from hwdse.netlist import source
from tests.hls_templates import dots
from tests.hls_templates.dots import Codes, check
from tests.hls_templates.leaves import cache_of

Log = Callable[..., None]

SPREAD = [  # integers and not, of one sign and two, without mantissa, and the widest
    *("int3 uint3", "int4 int4", "int8 uint8", "int8 int8", "int3 int8", "int5 ue2m2", "e1m1 uint3", "e1m4 int6"),
    *("e2m0 e2m0", "e2m1 e2m1", "e2m1 ue2m2", "e2m3 e3m2", "e3m0 ue5m0", "e4m3 e4m3", "e5m2 int8", "e5m2 ue5m3"),
]
STYLES: tuple[Style, ...] = ("shift", "decode", "table", "dsp")
PROGRAM_UNITS = 300  # in one program: larger ones take more memory, smaller ones more time for each unit
EXHAUSTIVE_BITS = 20  # of a beat of a packed DSP; of a longer one corners and random beats
RANDOM_BEATS = 1 << 18


@pytest.fixture
def cache(request: pytest.FixtureRequest) -> Path:
    return cache_of(request)


def units(pairs: Iterable[tuple[Format, Format]], style: Style) -> list[MatrixVector]:
    """Each hardware that makes one product in this style: on each fabric, with all of an integer's range or without
    its lone end, where that saves a bit."""
    every = [
        MatrixVector(w, a, 1, 1, Folding(), style=style, narrow=(narrow, narrow), lut_inputs=lut_inputs, dsp="dsp48e2")
        for w, a in pairs
        for narrow, lut_inputs in product((False, True), (6, 4))
        if style != "table" or table_bits(w, a) <= TABLE_BITS
    ]
    return list({_hardware(one): one for one in every}.values())


def _hardware(one: MatrixVector) -> tuple[object, ...]:
    """What decides a unit's product: not where the sign is applied, if there is none."""
    signless = one.style == "decode" or one.weight.exponent == one.activation.exponent == 0
    parameters = {key: value for key, value in one.parameters.items() if not (signless and key == "LATE")}
    return one.weight, one.activation, *parameters.values()


def packed_units(weight: Format, activation: Format) -> list[MatrixVector]:
    """Two and more products in one DSP, as many as the widest fits."""
    every = [
        MatrixVector(
            weight, activation, pe, 1, Folding(pe, 1), style="dsp", narrow=(narrow, narrow), lut_inputs=4, dsp="dsp48e2"
        )
        for narrow in (False, True)
        for pe in range(2, 9)
    ]
    return [one for one in every if one.dsp_lanes == one.folding.pe]


def check_all(units: Sequence[MatrixVector], cache: Path) -> int:
    """How many products were compared, a program at a time."""
    ordered = sorted(units, key=lambda one: one.activation.bits)
    parts = (ordered[i : i + PROGRAM_UNITS] for i in range(0, len(ordered), PROGRAM_UNITS))
    return sum(check(part, cache) for part in parts)


def beats_of(units: Sequence[MatrixVector]) -> tuple[Codes, Codes] | None:
    """For packed DSPs: every beat if they are not too many, or else every corner with every activation, and random."""
    bits, a_bits = units[0].weight.bits, units[0].activation.bits
    lanes = max(one.folding.pe for one in units)
    if lanes * bits + a_bits <= EXHAUSTIVE_BITS:
        return None
    half = 1 << bits - 1
    ends = [code % (2 * half) for code in (-half, 1 - half, -1, 0, 1, half - 1)]
    corners = np.array([sum(code << bits * i for i, code in enumerate(c)) for c in product(ends, repeat=lanes)])
    w, a = (grid.ravel() for grid in np.meshgrid(corners, np.arange(1 << a_bits)))
    random = np.random.default_rng(bits)
    more = (random.integers(0, 1 << size, RANDOM_BEATS) for size in (lanes * bits, a_bits))
    w, a = (np.concatenate(pair) for pair in zip((w, a), more, strict=True))
    return w, a


@pytest.mark.parametrize("style", STYLES)
def test_products_of_a_spread(style: Style, cache: Path) -> None:
    pairs = [(parse(pair.split()[0]), parse(pair.split()[1])) for pair in SPREAD]
    assert check(units(pairs, style), cache) > (200_000 if style != "table" else 200)


def test_packed_products_of_a_spread(cache: Path) -> None:
    found = packed_units(parse("int3"), parse("uint3"))
    assert {one.folding.pe for one in found} >= {2, 3, 4}
    assert check(found, cache) > 100_000


@pytest.mark.verify
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("bits", range(3, 9))
def test_products_of_all_pairs(bits: int, style: Style, fresh: Path, log: Log) -> None:
    """All codes of both, for every pair of formats that hardware is built for."""
    pairs = [(w, a) for w, a in product(weights(), activations()) if w.bits == bits]
    found = units(pairs, style)
    compared = check_all(found, fresh)
    formats = {(one.weight, one.activation) for one in found}
    log(f"products by `{style}`", pairs=len(formats), modules=len(found), compared=compared)


@pytest.mark.verify
@pytest.mark.parametrize("bits", range(3, 9))
def test_packed_products_of_all_pairs(bits: int, fresh: Path, log: Log) -> None:
    weight = IntFormat(bits)
    count, modules, compared = 0, 0, 0
    for activation_bits in range(3, 9):
        pairs = [(weight, IntFormat(activation_bits, signed)) for signed in (False, True)]
        found = [one for pair in pairs for one in packed_units(*pair)]
        count, modules = count + len({one.activation for one in found}), modules + len(found)
        compared += check(found, fresh, beats_of(found)) if found else 0
    assert compared > 0
    log("several products in one DSP", pairs=count, modules=modules, compared=compared)


@pytest.mark.parametrize(
    ("module", "right", "wrong"),
    [
        ("product", "assign minus = sign_w ^ sign_a;", "assign minus = sign_w | sign_a;"),
        ("significand", "normal & ~e[0]", "normal & e[0]"),
        ("packed_products", "assign carries[i] = full[BASE-1];", "assign carries[i] = 1'b0;"),
    ],
)
def test_a_wrong_product_is_found(
    module: str, right: str, wrong: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = source(module)
    assert text.count(right) == 1
    monkeypatch.setattr(dots, "source", lambda name: text.replace(right, wrong) if name == module else source(name))
    e2m1, int3 = parse("e2m1"), parse("int3")
    with pytest.raises(AssertionError):
        check([*units([(e2m1, e2m1)], "shift"), *packed_units(int3, int3)], cache)
