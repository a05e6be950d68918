"""Rounding: every decision of every format, against Brevitas, ml_dtypes and brute force, with equality."""

import brevitas.nn as qnn
import ml_dtypes
import numpy as np
import pytest
import torch
from brevitas.inject.enum import RestrictValueType, ScalingImplType
from brevitas.quant.float import Fp8e4m3Act
from brevitas.quant.float_quant_ocp import Fp8e4m3OCPAct, Fp8e5m2OCPAct
from brevitas.quant.scaled_int import Int8ActPerTensorFloat, Uint8ActPerTensorFloat
from numpy.typing import NDArray

from hwdse.formats import (
    Format,
    decode,
    encode,
    known_formats,
    limits,
    magnitude,
    parse,
    quantise,
    values,
)

FORMATS = (*known_formats(), *known_formats(signed=False))
MINIFLOATS = [f for f in FORMATS if f.exponent]
INTEGERS = [(f, narrow) for f in FORMATS if not f.exponent for narrow in ((True, False) if f.signed else (True,))]
WITH_NAN = [parse(name) for name in ("e4m3fn", "e5m2ieee", "e3m4ieee", "ue4m4fn", "ue5m3ieee", "e2m0fn")]
THEIRS = {
    "e2m1": ml_dtypes.float4_e2m1fn,
    "e2m3": ml_dtypes.float6_e2m3fn,
    "e3m2": ml_dtypes.float6_e3m2fn,
    "e3m4ieee": ml_dtypes.float8_e3m4,
    "e4m3ieee": ml_dtypes.float8_e4m3,
    "e4m3fn": ml_dtypes.float8_e4m3fn,
    "e5m2ieee": ml_dtypes.float8_e5m2,
}

each = pytest.mark.parametrize("fmt", [*FORMATS, *WITH_NAN], ids=lambda f: f.name)


def probes(fmt: Format, narrow: bool = True) -> NDArray[np.float32]:
    """Every place where a monotone rounding to `fmt` can go wrong, in float32.

    Every value, every midpoint of neighbours (a tie), numbers beyond the ends up to the largest of
    float32, and both float32 neighbours of all of these.
    """
    low, high = limits(fmt, narrow)
    grid = np.array([v for v in values(fmt) if v >= low])
    exact = np.concatenate((grid, (grid[1:] + grid[:-1]) / 2))
    points = exact.astype(np.float32)
    assert (points == exact).all(), "float32 holds every value and midpoint of 8 bits, up to e7m0's 2**64"
    beyond = np.array([low - 1, low - 0.5, high + 0.5, high + 1, 1.5 * high, -1.5 * high, 3e38, -3e38], np.float32)
    points = np.concatenate((points, beyond))
    up, down = np.nextafter(points, np.float32(np.inf)), np.nextafter(points, np.float32(-np.inf))
    return np.concatenate((points, up, down))


def brevitas_float(fmt: Format) -> qnn.QuantIdentity:
    """Brevitas' minifloat without a scale.

    Brevitas does not compare `bit_width` with the split. An unsigned minifloat is `signed=False` and
    a `bit_width` of exponent and mantissa bits; its lower clamp is then 0.
    """
    quant = Fp8e4m3Act.let(
        bit_width=fmt.bits,
        exponent_bit_width=fmt.exponent,
        mantissa_bit_width=fmt.mantissa,
        signed=fmt.signed,
    )
    return qnn.QuantIdentity(quant).eval()


def brevitas_integer(fmt: Format, narrow: bool) -> qnn.QuantIdentity:
    """Brevitas' integer with scale 1: a constant scale is `scaling_init` over the largest magnitude."""
    base = Int8ActPerTensorFloat if fmt.signed else Uint8ActPerTensorFloat
    quant = base.let(
        bit_width=fmt.bits,
        narrow_range=narrow and fmt.signed,  # an unsigned narrow range would leave out the largest value
        scaling_impl_type=ScalingImplType.CONST,
        restrict_scaling_type=RestrictValueType.FP,
        scaling_init=float(magnitude(fmt, narrow)),
    )
    return qnn.QuantIdentity(quant).eval()


def run(quantizer: qnn.QuantIdentity, x: NDArray[np.float32]) -> NDArray[np.float32]:
    with torch.no_grad():
        result: NDArray[np.float32] = quantizer(torch.from_numpy(x)).numpy()
    return result


@pytest.mark.parametrize("fmt", MINIFLOATS, ids=lambda f: f.name)
def test_minifloats_against_brevitas(fmt: Format) -> None:
    """All 27 signed and 32 unsigned splits, all finite.

    Nothing is excluded: float32 holds every format here, the widest (ue7m1) ends at 1.5 * 2**64. Brevitas
    takes floor(log2 x) in float32, which can be one too high just below a power of two; it then rounds
    to that power of two, as the exact exponent does.
    """
    x = probes(fmt)
    np.testing.assert_array_equal(quantise(fmt, x), run(brevitas_float(fmt), x))


@pytest.mark.parametrize(("name", "theirs"), [("e4m3fn", Fp8e4m3OCPAct), ("e5m2ieee", Fp8e5m2OCPAct)])
def test_formats_with_nan_against_brevitas(name: str, theirs: type) -> None:
    x = probes(parse(name))
    np.testing.assert_array_equal(quantise(parse(name), x), run(qnn.QuantIdentity(theirs).eval(), x))


@pytest.mark.parametrize(("fmt", "narrow"), INTEGERS, ids=lambda x: getattr(x, "name", "narrow" if x else "full"))
def test_integers_against_brevitas(fmt: Format, narrow: bool) -> None:
    x = probes(fmt, narrow)
    quantizer = brevitas_integer(fmt, narrow)
    assert quantizer.act_quant.scale() == 1
    np.testing.assert_array_equal(quantise(fmt, x, narrow=narrow), run(quantizer, x))


def test_ties() -> None:
    """To the even mantissa; up where there is no mantissa, except that half the smallest value goes to 0."""
    halves = [0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0]
    assert quantise(parse("e2m1"), halves).tolist() == [0, 1, 1, 2, 2, 4, 4]
    assert quantise(parse("e3m0"), [0.125, 0.375, 0.75, 1.5, 3, 6, 12]).tolist() == [0, 0.5, 1, 2, 4, 8, 16]
    assert quantise(parse("int4"), [0.5, 1.5, -0.5, -1.5, -2.5]).tolist() == [0, 2, 0, -2, -2]


@each
def test_quantising_is_nearest_and_monotone(fmt: Format) -> None:
    x = np.sort(probes(fmt).astype(np.float64))
    grid = np.array([v for v in values(fmt) if v >= limits(fmt)[0]])
    q = quantise(fmt, x)
    assert np.isin(q, grid).all()
    assert (np.diff(q) >= 0).all()
    inside = np.clip(x, *limits(fmt))
    np.testing.assert_array_equal(np.abs(q - inside), np.abs(grid - inside[:, None]).min(axis=1))
    np.testing.assert_array_equal(quantise(fmt, q), q)


@pytest.mark.parametrize("name", THEIRS)
def test_rounding_against_ml_dtypes(name: str) -> None:
    """In range; beyond it ml_dtypes gives Inf or NaN where a format has them."""
    fmt = parse(name)
    x = probes(fmt)
    x = x[np.abs(x) <= limits(fmt)[1]]
    np.testing.assert_array_equal(quantise(fmt, x), x.astype(THEIRS[name]).astype(np.float64))
    codes = x[x > 0].astype(THEIRS[name]).view(np.uint8)
    np.testing.assert_array_equal(encode(fmt, x[x > 0]), codes)


@each
def test_infinity_saturates(fmt: Format) -> None:
    assert tuple(quantise(fmt, [-np.inf, np.inf])) == limits(fmt)


def test_infinity_against_brevitas() -> None:
    """The one difference: its minifloats make NaN of Inf, which they divide by a step of Inf; ours saturate."""
    ends = np.array([-np.inf, np.inf], np.float32)
    assert run(brevitas_integer(parse("int4"), narrow=True), ends).tolist() == [-7, 7]
    assert np.isnan(run(brevitas_float(parse("e2m1")), ends)).all()


@each
def test_encoding_is_the_code_of_the_quantised_value(fmt: Format) -> None:
    x = probes(fmt).reshape(-1, 1)
    assert encode(fmt, x).shape == x.shape
    np.testing.assert_array_equal(decode(fmt, encode(fmt, x)), quantise(fmt, x))


def test_narrow_range() -> None:
    fmt = parse("int4")
    assert encode(fmt, [-8, -7, 7]).tolist() == [9, 9, 7]
    assert encode(fmt, [-8, -7, 7], narrow=False).tolist() == [8, 9, 7]


def test_scalars_and_zero() -> None:
    assert quantise(parse("e2m1"), 2.4).shape == ()
    assert not np.signbit(quantise(parse("e2m1"), [-0.0, -0.1])).any()
    assert encode(parse("e2m1"), [-0.0, -0.1]).tolist() == [0, 0]


@pytest.mark.parametrize("fmt", [parse("int4"), parse("e2m1")], ids=lambda f: f.name)
def test_nan_is_refused(fmt: Format) -> None:
    for function in (quantise, encode):
        with pytest.raises(ValueError, match=r"^NaN has no nearest value$"):
            function(fmt, [0.0, np.nan])
