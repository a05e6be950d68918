"""Every code of every format comes out of the packed words as the number that it stands for.

Interpreted here, and run where there is a GPU.
"""

import re
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

pytest.importorskip("triton", reason="needs triton")

from hwdse.decoding import decoding, stored
from hwdse.formats import Format, decode, known_formats, parse
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


@each_pair
def test_every_code_is_its_number(module: ModuleType, fmt: Format, floats: str) -> None:
    packed, values = one_of_each(fmt, floats)
    expected = values * powers(3).double()[:, None]
    assert same(module.run(packed, dtype=torch.float32), expected)
    assert torch.equal(packed.grid(), values)
    assert torch.equal(packed.dense(), expected)


@pytest.mark.parametrize("floats", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", ["int3", "uint8", "e1m3", "e2m1", "e4m3fn", "e5m2ieee"])
def test_the_grid_in_16_bits_is_exact(module: ModuleType, name: str, floats: str) -> None:
    packed, values = one_of_each(parse(name), floats)
    found = module.run(packed, scaled=False)
    assert found.dtype == packed.floats
    assert same(found, values)
    assert torch.equal(unpack.reference(packed, scaled=False), found)


GROUPED = [
    (name, floats, group, zeros)
    for name, group in (("int4", 32), ("uint3", 64), ("int8", 128), ("uint8", None), ("uint7", 32), ("e3m2", 64))
    for floats in ("float16", "bfloat16")
    for zeros in (False, True)
    if not (zeros and name == "e3m2")
]


def grouped(name: str, floats: str, group: int | None, zeros: bool, dtype: torch.dtype) -> Packed:
    """Weights of 19 outputs and 301 inputs with scales that round."""
    fmt, generator = parse(name), torch.Generator().manual_seed(3)
    shape = (19,) if group is None else (19, -(-301 // group))
    scales = (torch.rand(shape, generator=generator) + 0.1).to(dtype)
    low = 0 if name.startswith("u") else -(2 ** (fmt.bits - 1))
    points = torch.randint(low, low + 2**fmt.bits, shape, generator=generator) if zeros else None
    codes = all_codes(fmt, floats, 19, 301)
    return pack(codes, scales, fmt, floats=floats, group=group, zeros=points, rows=16, words=16)


@pytest.mark.parametrize(("name", "floats", "group", "zeros"), GROUPED)
def test_scales_and_zero_points_of_groups(
    module: ModuleType, name: str, floats: str, group: int | None, zeros: bool
) -> None:
    packed = grouped(name, floats, group, zeros, torch.float32 if group is None else torch.float16)
    found = module.run(packed, dtype=torch.float32).to(packed.floats)  # the interpreter cuts bfloat16 off
    assert torch.equal(found, unpack.reference(packed))


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
    assert same(unpack.run(packed.to("cuda"), dtype=torch.float32), values * powers(3).double()[:, None])


@gpu
@pytest.mark.parametrize(("name", "floats", "group", "zeros"), GROUPED)
def test_a_gpu_applies_scales_and_zero_points(name: str, floats: str, group: int | None, zeros: bool) -> None:
    packed = grouped(name, floats, group, zeros, torch.float32 if group is None else torch.float16)
    assert torch.equal(unpack.run(packed.to("cuda")).cpu(), unpack.reference(packed))
