"""Matrix-vector units of every style, folding and memory: exact sums, in exactly the cycles that they claim.

At full speed a unit takes a beat of operands each cycle, and an output follows the last of its operands in LATENCY
cycles: they are registered, multiplied, added up and accumulated.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from numpy.typing import NDArray

from hwdse import reference
from hwdse.calibration.sample import activations, weights
from hwdse.design import Folding
from hwdse.formats import Format, decode_table, parse
from hwdse.matrix_vector import TABLE_BITS, MatrixVector, Style, table_bits
from tests.hls_templates.dots import usable
from tests.hls_templates.leaves import STALLS, Case, cache_of, check, check_lint

LATENCY = 4
VECTORS = 6
PROGRAM_UNITS = 40
ALL_UNITS = 400

Codes = NDArray[np.int64]
Log = Callable[..., None]


def unit(names: str, rows: int, dot: int, folding: str, style: Style = "shift") -> MatrixVector:
    """`names`: the formats of weights and activations."""
    weight, activation = (parse(name) for name in names.split())
    return MatrixVector(weight, activation, rows, dot, Folding.parse(folding), style=style, dsp="dsp48e2")


# Every style, with one pass and several, one term a pass and several, odd numbers of lanes, and memories.
SPREAD = [
    unit("int4 uint4", 4, 8, "2x4"),
    unit("int8 int8", 1, 1, "1x1"),
    unit("int8 uint8", 3, 3, "3x3"),
    unit("int3 e2m1", 5, 14, "1x7"),
    unit("e2m1 e2m1", 4, 12, "2x3"),
    unit("e4m3 e4m3", 2, 10, "2x5"),
    unit("e5m2 ue5m3", 2, 4, "1x2"),
    unit("e3m0 ue3m0", 6, 6, "3x2"),
    unit("e2m3 int6", 4, 4, "4x1", "decode"),
    unit("e3m2 ue3m2", 2, 6, "1x6", "decode"),
    unit("int5 int5", 2, 9, "2x9", "decode"),
    unit("e2m1 e2m1", 4, 8, "2x4", "table"),
    unit("int3 uint4", 4, 6, "2x3", "table"),
    unit("int8 int8", 6, 6, "3x2", "dsp"),  # two in a block, and one
    unit("int4 uint4", 10, 4, "5x2", "dsp"),
    replace(unit("int3 int3", 10, 4, "10x4", "dsp"), dsp="dsp48e1"),
    replace(unit("int4 int4", 8, 4, "4x2", "dsp"), narrow=(False, False)),
    replace(unit("e4m3 ue3m4", 2, 4, "1x4", "dsp"), dsp="mult18x18d"),
    replace(unit("int8 uint8", 4, 9, "2x3", "dsp"), shared=False),  # no activation to share, so one in a block
    unit("uint4 int5", 4, 6, "2x3", "dsp"),  # nor are weights without a sign packed
    replace(unit("int8 int8", 2, 8, "1x4"), narrow=(False, False), lut_inputs=4),
    replace(unit("e3m4 e2m1", 4, 9, "2x3"), lut_inputs=4, groups=3, block=True, buffer_block=True),
    replace(unit("int4 int4", 4, 9, "2x3"), groups=2, shared=False),
    replace(unit("e2m1 ue2m2", 6, 9, "3x9"), shared=False, block=True),
    replace(unit("int4 e4m3", 6, 12, "2x4"), streamed=True),
    replace(unit("e2m3 uint8", 4, 9, "2x3", "decode"), streamed=True, shared=False),
    replace(unit("int6 uint6", 6, 8, "3x4", "dsp"), streamed=True, buffer_block=True),
]


@pytest.fixture
def cache(request: pytest.FixtureRequest) -> Path:
    return cache_of(request)


def random_unit(random: Random) -> MatrixVector:
    """Anything that can be built, and small enough."""
    weight, activation = random.choice(weights()), random.choice(activations())
    styles: list[Style] = ["shift", "shift", "decode", "dsp"]
    styles += ["table"] * (table_bits(weight, activation) <= TABLE_BITS)
    folding = Folding(random.choice((1, 2, 3, 5)), random.choice((1, 2, 3, 4, 7)))
    streamed = random.random() < 0.3
    return MatrixVector(
        weight,
        activation,
        rows=folding.pe * random.choice((1, 2, 3)),
        dot=folding.simd * random.choice((1, 2, 3, 4)),
        folding=folding,
        groups=1 if streamed else random.choice((1, 1, 3)),
        shared=random.random() < 0.7,
        style=random.choice(styles),
        narrow=(random.random() < 0.5, random.random() < 0.5),
        block=random.random() < 0.5,
        buffer_block=random.random() < 0.5,
        streamed=streamed,
        lut_inputs=random.choice((4, 6)),
        dsp=random.choice(("dsp48e1", "dsp48e2", "mult18x18d")),
    )


def codes(fmt: Format, narrow: bool, shape: tuple[int, ...], random: np.random.Generator) -> Codes:
    """Random codes, but those of each second first index the numbers farthest from 0, so that the sums are too."""
    numbers, there = decode_table(fmt), np.flatnonzero(usable(fmt, narrow))
    ends = there[[numbers[there].argmin(), numbers[there].argmax()]]
    found = random.choice(there, shape)
    found[::2] = random.choice(ends, (*found[::2].shape[:1], *(1 for _ in shape[1:])))
    return found


def case(one: MatrixVector, seed: int) -> Case:
    """Random vectors for random weights, and their exact sums."""
    random, (pe, simd) = np.random.default_rng(seed), (one.folding.pe, one.folding.simd)
    groups, rows, dot = one.groups, one.rows, one.dot
    w = codes(one.weight, one.narrow[0], (rows, groups, dot), random).swapaxes(0, 1)
    columns = 1 if one.shared else rows  # vectors of a group
    x = codes(one.activation, one.narrow[1], (VECTORS, groups, columns, dot), random)
    sums = np.empty((VECTORS, groups, rows), object)
    for g in range(groups):
        for r in range(rows):
            found = reference.dot_products(one.weight, one.activation, w[g, r : r + 1], x[:, g, r % columns])
            sums[:, g, r] = found[:, 0]
    beats = _beats(w.reshape(groups, rows // pe, pe, dot // simd, simd))
    lanes = 1 if one.shared else pe
    inputs = {"in": _beats(x.reshape(VECTORS * groups, columns // lanes, lanes, dot // simd, simd))}
    if one.streamed:
        hardware, inputs["weights"] = one.unit(), np.tile(beats, (VECTORS, 1))
    else:
        hardware = one.unit([sum(int(c) << one.weight.bits * i for i, c in enumerate(beat)) for beat in beats])
    last = VECTORS * one.words - 1 + LATENCY
    return Case(hardware, inputs, {"out": sums.reshape(-1, pe)}, dot // simd - 1 + LATENCY, last)


def _beats(folded: Codes) -> Codes:
    """`n x (lanes * simd)` from `groups x passes x lanes x beats x simd`: the order in which the hardware uses them."""
    ordered = folded.swapaxes(2, 3)
    return ordered.reshape(-1, ordered.shape[3] * ordered.shape[4])


def random_cases(seed: int) -> list[Case]:
    """One program's."""
    random = Random(seed)
    return [case(random_unit(random), seed * PROGRAM_UNITS + i) for i in range(PROGRAM_UNITS)]


def test_sums_and_cycles(cache: Path) -> None:
    check([case(one, seed) for seed, one in enumerate(SPREAD)], cache)


def test_lint() -> None:
    check_lint([case(one, 0) for one in SPREAD])


def outputs(cases: Sequence[Case]) -> int:
    """How many sums `check` compares."""
    return len(STALLS) * sum(np.size(one.outputs["out"]) for one in cases)


@pytest.mark.verify
@pytest.mark.parametrize("seed", range(ALL_UNITS // PROGRAM_UNITS))
def test_random_units(seed: int, fresh: Path, log: Log) -> None:
    cases = random_cases(seed)
    check(cases, fresh)
    log("sums and cycles of random matrix-vector units", modules=len(cases), compared=outputs(cases))


@pytest.mark.verify
@pytest.mark.parametrize("seed", range(ALL_UNITS // PROGRAM_UNITS))
def test_lint_of_random_units(seed: int, log: Log) -> None:
    cases = random_cases(seed)
    check_lint(cases)
    log("lint of those", modules=len(cases))
