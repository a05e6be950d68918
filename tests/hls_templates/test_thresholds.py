"""Sums to codes of every format, by search and by parallel comparison, equal to counting thresholds in Python."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hwdse import reference
from hwdse.formats import known_formats, parse
from hwdse.netlist import Unit
from hwdse.thresholds import Thresholds, levels
from tests.hls_templates.leaves import Case, cache_of, check, check_lint

# (format, narrow, bits of a sum, channels, lanes, smallest block RAM)
SPREAD = [
    ("int2", True, 8, 3, 1, None),
    ("int2", False, 8, 1, 1, None),
    ("int4", True, 12, 1, 1, None),
    ("int4", False, 12, 4, 2, 2),
    ("uint4", True, 10, 6, 2, None),
    ("e1m1", True, 4, 2, 1, None),  # more thresholds than sums
    ("e2m1", True, 14, 6, 3, None),
    ("e3m0", True, 11, 12, 2, 12),
    ("ue2m2", True, 9, 5, 1, None),
    ("ue5m0", True, 9, 3, 1, None),
    ("e4m3", True, 40, 2, 2, None),
    ("e4m3fn", True, 20, 4, 2, None),  # a code without a number at each end
    ("e5m2ieee", True, 80, 2, 1, 16),
    ("int8", True, 20, 8, 2, 4),
    ("uint8", True, 24, 2, 2, None),
]
PARALLEL_BITS = 5


@pytest.fixture
def cache(request: pytest.FixtureRequest) -> Path:
    return cache_of(request)


def random_thresholds(name: str, narrow: bool, acc_bits: int, channels: int, seed: int) -> Thresholds:
    """Ascending numbers, repeats among them; those of the first and last channel are beyond every sum."""
    random = np.random.default_rng(seed)
    fmt, half = parse(name), 1 << acc_bits - 1
    draws = [[int(x * half) for x in random.uniform(-1.2, 1.2, len(levels(fmt, narrow)) - 1)] for _ in range(channels)]
    rows = [tuple(sorted(row)) for row in draws]
    if channels > 1:
        rows[0], rows[-1] = (half,) * len(rows[0]), (-half - 1,) * len(rows[0])
    return Thresholds(fmt, acc_bits, tuple(rows), narrow)


def sums_around(thresholds: Thresholds, seed: int) -> list[list[int]]:
    """`n x channels`: the least and the largest sum, and for each threshold, it and its neighbours."""
    random = np.random.default_rng(seed)
    half = 1 << thresholds.acc_bits - 1
    columns = []
    for row in thresholds.rows:
        picked = random.choice(np.array(row, object), 12)
        near = [value + offset for value in picked for offset in (-1, 0, 1)]
        columns.append([-half, half - 1, 0, -1, *(min(max(int(value), -half), half - 1) for value in near)])
    return [list(beat) for beat in zip(*columns, strict=True)]


def case(
    thresholds: Thresholds, lanes: int, make: Callable[..., Unit], block_words: int | None, latency: int, seed: int
) -> Case:
    sums = sums_around(thresholds, seed)
    codes = reference.threshold(thresholds, sums).reshape(-1, lanes)
    beats = np.array(sums, object).reshape(-1, lanes)
    unit = make(lanes, block_words=block_words)
    return Case(unit, {"in": beats}, {"out": codes}, latency, len(beats) - 1 + latency)


def searches() -> list[Case]:
    cases = []
    for seed, (name, narrow, acc_bits, channels, lanes, block) in enumerate(SPREAD):
        table = random_thresholds(name, narrow, acc_bits, channels, seed)
        cases.append(case(table, lanes, table.search, block, table.format.bits, seed))
    return cases


def parallels() -> list[Case]:
    cases = []
    for seed, (name, narrow, acc_bits, channels, lanes, block) in enumerate(SPREAD):
        table = random_thresholds(name, narrow, acc_bits, channels, seed)
        if table.format.bits <= PARALLEL_BITS:
            cases.append(case(table, lanes, table.parallel, block, 1, seed))
    return cases


def formats() -> list[Case]:
    """Every format, with two groups of channels."""
    cases = []
    for signed in (False, True):
        for seed, fmt in enumerate(known_formats(signed=signed)):
            table = random_thresholds(fmt.name, True, 16, 2, seed)
            cases.append(case(table, 1, table.search, None, fmt.bits, seed))
            if fmt.bits <= PARALLEL_BITS:
                cases.append(case(table, 1, table.parallel, None, 1, seed))
    return cases


@pytest.mark.parametrize("make", [searches, parallels, formats])
def test_codes_and_cycles(make: Callable[[], list[Case]], cache: Path) -> None:
    check(make(), cache)


@pytest.mark.parametrize("make", [searches, parallels])
def test_lint(make: Callable[[], list[Case]]) -> None:
    check_lint(make())
