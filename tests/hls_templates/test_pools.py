"""Residual adds, pools and tables on codes: equal to Python's integers, in exactly the cycles that they claim."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hwdse import reference
from hwdse.formats import Format, parse
from hwdse.units import code_table, max_pool, residual_add, sum_pool
from tests.hls_templates.leaves import Case, cache_of, check, check_lint, random_codes

# Signed and not, uniform or not, without a mantissa, and with the widest exponent that is built.
NAMES = ("int2", "int8", "uint4", "e1m1", "e2m1", "e3m0", "ue2m2", "ue5m0", "e4m3", "e5m2")
FORMATS = [parse(name) for name in NAMES]


@pytest.fixture
def cache(request: pytest.FixtureRequest) -> Path:
    return cache_of(request)


def every_code(fmt: Format, lanes: int, random: np.random.Generator) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """`n x lanes`: each code at least once in each lane."""
    codes = random_codes(fmt, (8, lanes), random, narrow=False)
    return np.concatenate([codes, np.tile(np.arange(2**fmt.bits)[:, np.newaxis], lanes)])


def adds() -> list[Case]:
    """The full range of every format: all codes against random ones."""
    random = np.random.default_rng(0)
    cases = []
    for fmt in FORMATS:
        a = every_code(fmt, 3, random)
        b = random.permuted(a, axis=0)
        unit = residual_add(fmt, 3, narrow=False)
        cases.append(Case(unit, {"a": a, "b": b}, {"out": reference.residual_add(fmt, a, b)}, 1, len(a)))
    return cases


def max_pools() -> list[Case]:
    random = np.random.default_rng(1)
    cases = []
    for fmt in FORMATS:
        for taps in (1, 2, 9):
            codes = random_codes(fmt, (30 * taps, 2), random, narrow=False)
            out = reference.max_pool(fmt, codes, taps)
            cases.append(Case(max_pool(fmt, 2, taps), {"in": codes}, {"out": out}, taps, len(codes)))
    return cases


def sum_pools() -> list[Case]:
    """One group, two (a RAM that is read right after it is written), three and more; extreme sums too."""
    random = np.random.default_rng(2)
    cases = []
    for fmt in FORMATS:
        for taps, groups, block in ((1, 1, False), (5, 1, False), (1, 2, False), (4, 2, True), (7, 3, False)):
            codes = random_codes(fmt, (8 * taps * groups, 2), random, narrow=False)
            codes[: taps * groups, 0] = _extreme(fmt)
            unit = sum_pool(fmt, 2, taps, groups, narrow=False, block=block)
            out = reference.sum_pool(fmt, codes, taps, groups)
            cases.append(Case(unit, {"in": codes}, {"out": out}, (taps - 1) * groups + 1, len(codes)))
    return cases


def _extreme(fmt: Format) -> int:
    """The code of the number farthest from 0."""
    return int(np.argmax([abs(fmt.decode(code)) for code in range(2**fmt.bits)]))


def tables() -> list[Case]:
    random = np.random.default_rng(3)
    cases = []
    for bits, out_bits, lanes, block in ((2, 7, 3, False), (8, 8, 2, False), (8, 3, 2, True)):
        table = random.integers(0, 2**out_bits, 2**bits)
        codes = np.stack([random.permutation(2**bits) for _ in range(lanes)], axis=1)
        unit = code_table(table.tolist(), out_bits, lanes, block=block)
        cases.append(Case(unit, {"in": codes}, {"out": table[codes]}, 1, len(codes)))
    return cases


@pytest.mark.parametrize("make", [adds, max_pools, sum_pools, tables])
def test_codes_and_cycles(make: Callable[[], list[Case]], cache: Path) -> None:
    check(make(), cache)


@pytest.mark.parametrize("make", [adds, max_pools, sum_pools, tables])
def test_lint(make: Callable[[], list[Case]]) -> None:
    check_lint(make())


def test_a_table_has_an_entry_for_each_code() -> None:
    for size in (1, 3, 12):
        message = f"^a table has an entry for each code, so a power of two of them, not {size}$"
        with pytest.raises(ValueError, match=message):
            code_table([0] * size, 4, 1)
