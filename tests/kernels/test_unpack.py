"""Every code of every format comes out of the packed words as the number that it stands for.

Interpreted here, and run where there is a GPU.
"""

import re
from dataclasses import replace
from itertools import product
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

pytest.importorskip("triton", reason="needs triton")

from hwdse.decoding import decoding, stored
from hwdse.formats import Format, decode, encode, known_formats, limits, parse
from hwdse.kernels import unpack
from hwdse.kernels._packed import Packed, pack
from tests.kernels.interpreted import interpreted

FORMATS = (
    *known_formats(),
    *known_formats(signed=False),
    *map(parse, ("e4m3fn", "e5m2ieee", "ue5m3ieee", "e2m0fn", "ue4m2fn")),
)
TOO_WIDE = {"e6m0", "e6m1", "e7m0", "ue6m0", "ue6m1", "ue7m0", "ue6m2", "ue7m1"}  # of float16
PAIRS = [(fmt, floats) for floats in ("float16", "bfloat16") for fmt in FORMATS]
HELD = [(fmt, floats) for fmt, floats in PAIRS if floats == "bfloat16" or fmt.name not in TOO_WIDE]

each_pair = pytest.mark.parametrize(("fmt", "floats"), HELD, ids=lambda value: getattr(value, "name", value))
gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.fixture(scope="module")
def module() -> ModuleType:
    """The kernel as Python."""
    return interpreted("unpack")


def all_codes(fmt: Format, floats: str, n: int = 3, k: int = 256) -> Tensor:
    """`n x k` codes: every one that may be packed, whichever the field that it comes to."""
    codes = np.flatnonzero(stored(fmt, floats) >= 0).astype(np.uint8)
    return torch.from_numpy(np.random.default_rng(n).permuted(np.resize(codes, (n, k)), axis=1))


def powers(n: int) -> Tensor:
    """Scales that round nothing."""
    return torch.ldexp(torch.ones(n), torch.arange(n) - 1)


def one_of_each(fmt: Format, floats: str) -> tuple[Packed, Tensor]:
    """Weights, and their values before the scales."""
    codes = all_codes(fmt, floats)
    packed = pack(codes, powers(3), fmt, floats=floats, rows=16, words=8)
    return packed, torch.from_numpy(decode(fmt, codes) + 0.0)


def same(found: Tensor, expected: Tensor) -> bool:
    """In every bit: +0 for -0 is an error too."""
    return torch.equal(found.cpu().double().view(torch.int64), expected.view(torch.int64))


def test_every_format_is_tested_in_its_floats() -> None:
    assert len(HELD) > 140
    assert len({fmt.name for fmt, _ in HELD}) == len(FORMATS)


def weights(module: ModuleType, packed: Packed, dtype: torch.dtype | None = None, passes: bool = False) -> Tensor:
    """The dense numbers times what their sums are still to be multiplied by (float64)."""
    own = module.scaling(packed, passes)
    numbers = module.run(packed, own, dtype)
    if dtype is not None:
        numbers = numbers.to(packed.floats)  # Triton's interpreter cuts bfloat16 off
    assert numbers.dtype == packed.floats
    assert numbers.isfinite().all()
    found: Tensor = numbers.double() if own.after is None else numbers.double() * own.after.double()[:, None]
    return found.cpu()


@each_pair
def test_every_code_is_its_number_in_16_bits(module: ModuleType, fmt: Format, floats: str) -> None:
    """E5 without Inf too, of whose values float16 does not hold the largest."""
    packed, values = one_of_each(fmt, floats)
    expected = values * powers(3).double()[:, None]
    for passes in (False, True):
        own = unpack.scaling(packed, passes)
        assert same(weights(module, packed, passes=passes), expected)
        assert torch.equal(unpack.reference(packed, own), module.run(packed, own))
    assert not own.inside
    assert own.before is None
    assert torch.equal(packed.grid(), values)
    assert torch.equal(packed.dense(), expected)


# ---- groups --------------------------------------------------------------------------------------

INTEGERS = ("int4", "uint3", "int8", "uint8")
MINIFLOATS = ("e2m1", "e3m2", "e4m3fn", "e5m2ieee", "e5m2", "e5m1")  # the last two are wide in float16
HALF_A_STEP = {"float16": 2.0**-11, "bfloat16": 2.0**-8}
GROUPED = [
    (name, floats, group, zeros)
    for name, group in product((*INTEGERS, *MINIFLOATS), (32, 64, 128))
    for floats in ("float16", "bfloat16")
    for zeros in (False, True)
    if not (zeros and name in MINIFLOATS)
]
each_grouped = pytest.mark.parametrize(("name", "floats", "group", "zeros"), GROUPED)


def grouped(name: str, floats: str, group: int, zeros: bool) -> Packed:
    """Weights of 19 outputs and 301 inputs, with scales of 1e-6 to 1e3 in a row, alike in some rows, and some of 0."""
    fmt, generator = parse(name), torch.Generator().manual_seed(3)
    shape = 19, -(-301 // group)
    scales = 10 ** (9 * torch.rand(shape, generator=generator) - 6)
    scales[3:6] = 10 ** (-4.5 + torch.rand(3, shape[1], generator=generator))
    scales[0], scales[1, 0] = 0, 0
    low = 0 if name.startswith("u") else -(2 ** (fmt.bits - 1))
    points = torch.randint(low, low + 2**fmt.bits, shape, generator=generator) if zeros else None
    codes = all_codes(fmt, floats, 19, 301)
    scales = scales.to(torch.float16 if group == 64 else torch.float32)
    return pack(codes, scales, fmt, floats=floats, group=group, zeros=points, rows=16, words=16)


def largest(packed: Packed) -> Tensor:
    """Of each row what a code, less any zero point, may be at most, times the largest scale (float64)."""
    most = max(map(abs, limits(packed.fmt, narrow=False))) * (1 if packed.zeros is None else 2)
    return most * packed.scale.abs().amax(1, keepdim=True)


@each_grouped
def test_groups_round_a_weight_by_half_a_step(
    module: ModuleType, name: str, floats: str, group: int, zeros: bool
) -> None:
    """Float32 rounds before by 2**-13 of that; a subnormal float16 is off by a share of the largest of its row."""
    packed = grouped(name, floats, group, zeros)
    found, expected = weights(module, packed, torch.float32), packed.dense()
    share, apart = HALF_A_STEP[floats] * (1 + 2.0**-13), (found - expected).abs()
    own = unpack.scaling(packed, passes=False)
    after = own.after
    assert own.inside
    assert unpack.scaling(packed, passes=True).after is not None
    assert (apart <= share * expected.abs() + 2.0 ** (-17 if after is None else -39) * largest(packed)).all()
    assert (apart > 0.9 * HALF_A_STEP[floats] * expected.abs()).any()
    undone = torch.ones(19) if after is None else after
    assert torch.equal(found, unpack.reference(packed, own).double() * undone.double()[:, None])
    assert (found[0] == 0).all()


@pytest.mark.parametrize(("name", "floats"), [*product((*INTEGERS, *MINIFLOATS[:4]), HALF_A_STEP)])
@pytest.mark.parametrize("group", [None, 32])
def test_rows_that_lie_within_the_range_of_the_float_need_no_power(
    module: ModuleType, name: str, floats: str, group: int | None
) -> None:
    """So no pass follows the library. A subnormal is off by 2**-17 of the largest of its row."""
    fmt = parse(name)
    least = 2.0**-8 / max(map(abs, limits(fmt, narrow=False)))
    scales = least * 2 ** (6 * torch.rand(19, 10, generator=torch.Generator().manual_seed(5)))
    given = scales[:, 0].contiguous() if group is None else scales
    packed = pack(all_codes(fmt, floats, 19, 301), given, fmt, floats=floats, group=group, rows=16, words=16)
    own = unpack.scaling(packed, passes=False)
    if group is None and floats == "bfloat16":  # which would round them by too much
        assert not own.inside
        assert torch.equal(weights(module, packed), packed.dense())
        return
    assert own.inside
    assert own.after is None
    found, expected = weights(module, packed, torch.float32), packed.dense()
    share, apart = HALF_A_STEP[floats] * (1 + 2.0**-13), (found - expected).abs()
    assert (apart <= share * expected.abs() + 2.0**-17 * largest(packed)).all()
    assert (apart > 0.6 * HALF_A_STEP[floats] * expected.abs()).any()
    assert torch.equal(found, unpack.reference(packed, own).double())


@pytest.mark.parametrize("floats", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", [*INTEGERS, *MINIFLOATS[:3]])
def test_groups_whose_scales_are_powers_of_two_round_nothing(module: ModuleType, name: str, floats: str) -> None:
    own = grouped(name, floats, 64, name in INTEGERS)
    exponents = torch.arange(own.scales.numel()).reshape(own.scales.shape) % 5 - 9
    packed = replace(own, scales=torch.ldexp(torch.ones_like(own.scales), exponents))
    assert torch.equal(weights(module, packed, torch.float32), packed.dense())


@pytest.mark.parametrize("floats", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", ["int3", "uint8", "e3m2", "e5m2", "e5m2ieee"])
def test_the_largest_number_of_a_row_lies_high(module: ModuleType, name: str, floats: str) -> None:
    """Whatever the scales: sums are neither lost below float32 nor infinite."""
    fmt, scales = parse(name), torch.logspace(-33, 31, 24).reshape(12, 2)
    low, high = limits(fmt, narrow=False)
    codes = torch.full((12, 64), int(encode(fmt, high if high >= -low else low, narrow=False)), dtype=torch.uint8)
    packed = pack(codes, scales, fmt, floats=floats, group=32, rows=16, words=8)
    highest, top = (
        module.run(packed, module.scaling(packed, True)).abs().amax(1).double(),
        {"float16": 15, "bfloat16": 0}[floats],
    )
    assert ((highest >= 2.0 ** (top - 1)) & (highest <= 2.0**top)).all()


def test_no_power_is_infinite_whatever_the_scales(module: ModuleType) -> None:
    for name, scales in (("int4", (1e36, 1e-36)), ("e2m1", (3e34, 1e-37))):
        fmt = parse(name)
        codes = torch.full((2, 64), int(encode(fmt, 1.0)), dtype=torch.uint8)
        packed = pack(codes, torch.tensor(scales)[:, None].repeat(1, 2), fmt, group=32, rows=16, words=8)
        assert torch.allclose(weights(module, packed), packed.dense(), rtol=2.0**-10, atol=0)


def test_scales_are_multiplied_by_the_power_of_two_only_where_that_is_exact() -> None:
    codes = all_codes(parse("e2m1"), "float16", 2, 64)
    scales = torch.tensor([[0.5, 3.0], [1.0, 0.25]], dtype=torch.float16)
    assert pack(codes, scales, parse("e2m1"), group=32).factor == 1.0
    large = pack(codes, 2 * scales, parse("e2m1"), group=32)  # 2**14 * 6 is infinite in float16
    assert large.factor == decoding(parse("e2m1"), "float16").factor == 2.0**14
    assert torch.equal(large.dense(), 2 * pack(codes, scales, parse("e2m1"), group=32).dense())


def test_the_bytes_are_those_of_codes_and_scales() -> None:
    packed = pack(all_codes(parse("int3"), "float16", 64, 1024), torch.ones(64, 8).half(), parse("int3"), group=128)
    assert packed.nbytes == 64 * 1024 * 3 // 8 + 64 * 8 * 2


CODES, SCALES = torch.zeros(4, 64, dtype=torch.uint8), torch.ones(4)


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("e6m1", {}, "float16 holds minifloats of at most 5 exponent bits, not e6m1; bfloat16 holds it"),
        ("binary", {}, "packed weights are integers or minifloats of 2 to 8 bits, not binary"),
        ("int4", {"floats": "float32"}, "weights become float16 or bfloat16, not 'float32'"),
        ("e4m3fn", {"codes": CODES + 127}, "weights are finite, unlike code 127 of e4m3fn"),
        ("e5m2ieee", {"codes": CODES + 124}, "weights are finite, unlike code 124 of e5m2ieee"),
        ("int4", {"codes": CODES + 16}, "codes are uint8 numbers below 16, not torch.uint8 up to 16"),
        ("int4", {"codes": CODES.int()}, "codes are uint8 numbers below 16, not torch.int32 up to 0"),
        ("int4", {"group": 48}, "a group has 32, 64, 128 inputs, not 48; the nearest is 32"),
        ("int4", {"scales": SCALES[:3]}, "scales are float32 of shape (4,), not torch.float32 of (3,)"),
        ("int4", {"scales": SCALES.half()}, "scales are float32 of shape (4,), not torch.float16 of (4,)"),
        ("int4", {"group": 32}, "scales are float32 or float16 of shape (4, 2), not torch.float32 of (4,)"),
        ("int4", {"scales": SCALES / 0}, "scales are finite, unlike inf"),
        ("e2m1", {"zeros": SCALES.int()}, "integers have zero points, not e2m1"),
        ("int4", {"zeros": SCALES}, "zero points are integers of shape (4,), not torch.float32 of (4,)"),
        ("uint4", {"zeros": 16 * SCALES.int()}, "zero points of uint4 are 0 to 15, not 16 to 16"),
        ("int4", {"zeros": -9 * SCALES.int()}, "zero points of int4 are -8 to 7, not -9 to -9"),
    ],
)
def test_what_cannot_be_packed(name: str, given: dict[str, Any], message: str) -> None:
    asked = {"codes": CODES, "scales": SCALES} | given
    codes, scales = asked.pop("codes"), asked.pop("scales")
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        pack(codes, scales, parse(name), **asked)


def test_a_subtile_of_two_groups() -> None:
    message = "the 2 * 32 inputs of a sub-tile divide a group, not one of 32; the nearest has 16 words"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        pack(CODES, torch.ones(4, 2), parse("int4"), group=32, words=32)


@gpu
@each_pair
def test_a_gpu_gives_every_code_its_number(fmt: Format, floats: str) -> None:
    packed, values = one_of_each(fmt, floats)
    assert same(weights(unpack, packed.to("cuda")), values * powers(3).double()[:, None])


@gpu
@each_grouped
def test_a_gpu_applies_scales_and_zero_points(name: str, floats: str, group: int, zeros: bool) -> None:
    packed = grouped(name, floats, group, zeros)
    own, there = unpack.scaling(packed, True), packed.to("cuda")
    assert torch.equal(unpack.run(there, unpack.scaling(there, True)).cpu(), unpack.reference(packed, own))


@gpu
@pytest.mark.parametrize("group", [None, 64])
def test_a_gpu_sums_in_float32(group: int | None) -> None:
    scales = torch.ones(4) if group is None else torch.ones(4, 1)
    packed = pack(CODES + 3, scales, parse("int4"), group=group).to("cuda")
    x = torch.full((5, 64), 1 + 2.0**-10, device="cuda", dtype=torch.float16)
    sums = unpack.summed(x, unpack.run(packed, unpack.scaling(packed, False)))
    assert sums.dtype == torch.float32
    assert torch.equal(sums, torch.full_like(sums, 64 * 3 * (1 + 2.0**-10)))
