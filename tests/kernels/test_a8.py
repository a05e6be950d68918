"""Products on 8-bit tensor cores: weights of every format, every stored code, odd shapes, groups, zero points.

Interpreted here, compiled for GPUs that need not be there, and run where there is one.
"""

import re
from dataclasses import replace
from math import nan
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

pytest.importorskip("triton", reason="needs triton")

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, make_backend
from triton.runtime.jit import create_function_from_signature

from hwdse.formats import Format, decode, known_formats, parse
from hwdse.gemm import Tile
from hwdse.kernels import a8
from hwdse.kernels._packed8 import Packed8, pack
from hwdse.kernels._sums import OUTPUTS, Workspace
from hwdse.kernels.quantise import DTYPES, Quantised
from hwdse.paths import Embedding, path
from hwdse.stored import stored
from tests.kernels.interpreted import interpreted as as_python

FORMATS = (*known_formats(bits=range(3, 9)), parse("e4m3fn"), parse("e5m2ieee"), parse("uint4"), parse("uint8"))
TILE = Tile(16, 16, 8, 1, warps=4)
ROUND = 2.0**-24  # half an ulp of float32, relative
# Rounding of the output type, and of its smallest number.
HALF = {torch.float32: (ROUND, 2.0**-149), torch.float16: (2.0**-11, 2.0**-25), torch.bfloat16: (2.0**-8, 2.0**-133)}

INT8 = Embedding("int8", 0, 0, 128)
# Of the last tile, of fewer than 64 rows, a Hopper multiplies 8-bit floats as float16.
ON_GPU = [(1, 33, 1000, Tile(64, 16, 16, 3, 2)), (150, 260, 520, Tile(128, 64, 16, 2, 1, 8))]
ON_GPU += [(5, 40, 300, Tile(32, 16, 16, 2))]

gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def poisoned(m: int, n: int, dtype: torch.dtype = torch.float32, device: str = "cpu") -> Tensor:
    """Where a result goes: what is not written stays NaN."""
    return torch.full((m, n), nan, dtype=dtype, device=device)


def partner(fmt: Format) -> Format | None:
    """Activations that make a product of 8 bits with weights of `fmt`: int8, or a float of 8 bits."""
    known = map(parse, ("int8", "e4m3fn"))
    return next((other for other in known if path(fmt, other).arithmetic in ("int8", "fp8")), None)


PAIRS = [(fmt, other) for fmt in FORMATS if (other := partner(fmt)) is not None]
PAIRS += [(parse(weights), parse(other)) for weights, other in (("int4", "e4m3fn"), ("e2m1", "e2m1"), ("e2m3", "e2m3"))]
PAIRS += [(parse(weights), parse(other)) for weights, other in (("e3m2", "e3m2"), ("e5m1", "e5m2ieee"))]
PAIRS += [
    (parse(weights), parse(other)) for weights, other in (("int4", "uint8"), ("uint8", "uint8"), ("int3", "uint4"))
]
each_pair = pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair[0].name}-{pair[1].name}")


@pytest.fixture(scope="module")
def interpreted() -> ModuleType:
    return as_python("a8")


def weights(fmt: Format, other: Format, n: int, k: int, **options: Any) -> Packed8:
    """All codes that have a number, first; then random ones."""
    own = stored(fmt, path(fmt, other).weights.operand)
    assert own is not None
    known = np.array([code for code, kept in enumerate(own.codes) if kept >= 0], np.uint8)
    drawn = np.random.default_rng(0).choice(known, n * k)
    drawn[: len(known)] = known[: n * k]
    group = options.get("group")
    scales = torch.rand(n) + 0.5 if group is None else torch.rand(n, -(-k // group)) + 0.5
    codes = torch.from_numpy(drawn.reshape(n, k))
    return pack(codes, scales.to(options.pop("scales", torch.float32)), fmt, other, **options)


def bound(x: Quantised, packed: Packed8, bias: Tensor | None, dtype: torch.dtype, fp8: float = 0.0) -> Tensor:
    """How far a product may be from `a8.reference`.

    In float32 the conversion or the sum of at most k products, the scales, the factor and the bias round: k + 5 times
    half an ulp of the sum of all magnitudes; `fp8` is what a tensor core loses of that besides. Then the output rounds.
    """
    magnitudes = x.dense().nan_to_num().abs() @ packed.dense().abs().T
    if bias is not None:
        magnitudes += bias.double().abs()
    relative, least = HALF[dtype]
    if dtype == torch.bfloat16 and x.codes.device.type == "cpu":
        relative *= 2  # Triton's interpreter cuts bfloat16 off
    inner = magnitudes * ((packed.k + 5) * ROUND + fp8)
    return inner + (a8.reference(x, packed, bias).nan_to_num().abs() + inner) * relative + least


def close(y: Tensor, x: Quantised, packed: Packed8, bias: Tensor | None = None, fp8: float = 0.0) -> bool:
    """Whether `y` is the product of `x` and `packed`."""
    wrong = (y.double().cpu() - a8.reference(x, packed, bias)).abs() > bound(x, packed, bias, y.dtype, fp8)
    return not wrong.any() and not y.isnan().any()


@each_pair
def test_every_code_is_the_weight_that_it_stands_for(interpreted: ModuleType, pair: tuple[Format, Format]) -> None:
    """Times the identity; exactly."""
    (fmt, other), n = pair, 16
    own = stored(fmt, path(fmt, other).weights.operand)
    assert own is not None
    known = np.array([code for code, kept in enumerate(own.codes) if kept >= 0], np.uint8)
    k = -(-len(known) // n) + 1
    codes = np.resize(known, (n, k))
    packed = pack(torch.from_numpy(codes), torch.ones(n), fmt, other, rows=16, words=8)
    x = interpreted.activations(torch.eye(k), packed, 1.0)
    y = interpreted.run(x, packed, TILE, out=poisoned(k, n))
    found, expected = y.T.double().numpy(), decode(fmt, codes)
    if own.operand == "e5m2ieee":  # whose subnormals Triton's interpreter multiplies wrongly: test_unpack8 sees them
        normal = abs(expected) >= 2.0 ** (own.exponent - 14)
        found, expected = found[normal], expected[normal]
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("pair", PAIRS[::4], ids=lambda pair: f"{pair[0].name}-{pair[1].name}")
def test_random_products(interpreted: ModuleType, pair: tuple[Format, Format]) -> None:
    packed = weights(*pair, 16, 90, rows=16, words=8)
    x = interpreted.activations(torch.randn(3, 90), packed)
    assert close(interpreted.run(x, packed, TILE, out=poisoned(3, 16)), x, packed)


@pytest.mark.parametrize("split", [1, 2])
@pytest.mark.parametrize(("fmt", "words"), [("e2m1", 8), ("e3m2", 8), ("e3m3", 8), ("e3m2", 64), ("e4m3fn", 8)])
def test_sums_that_the_kernel_goes_on_with_are_the_same(
    interpreted: ModuleType, fmt: str, words: int, split: int
) -> None:
    """Where Triton does not: of 128 inputs, of a block of 64 or 32, or of a field of 256. No sum rounds."""
    packed = weights(parse(fmt), parse("e4m3fn"), 20, 1100, rows=16, words=words)
    packed.scales.fill_(1.0)
    x = interpreted.activations(torch.randint(-2, 3, (3, 1100)).float(), packed, 1.0)
    tile, found = Tile(16, 16, words, 1, split), []
    for shared in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(interpreted, "_from_shared", lambda device, own=shared: own)
            found.append(interpreted.run(x, packed, tile, out=poisoned(3, 20)))
    assert torch.equal(found[0].double(), a8.reference(x, packed))
    assert torch.equal(*found)


@pytest.mark.parametrize("names", [("e2m1", "e2m1"), ("e2m3", "e2m3"), ("int4", "ue2m2"), ("e2m2", "ue2m3")])
def test_what_both_arithmetics_multiply_is_the_same(interpreted: ModuleType, names: tuple[str, str]) -> None:
    """Sums of so few products are exact on both."""
    fmt, other = map(parse, names)
    own = stored(fmt, "e4m3fn")
    assert own is not None
    known = np.array([code for code, kept in enumerate(own.codes) if kept >= 0], np.uint8)
    codes = torch.from_numpy(np.resize(known, (16, 70)))
    x, found = torch.randn(5, 70).abs(), []
    for arithmetic, operand in (("int8", "int8"), ("fp8", "e4m3fn")):
        packed = pack(codes, torch.ones(16), fmt, other, arithmetic=arithmetic, rows=16, words=8)
        assert (packed.path.arithmetic, packed.own.operand) == (arithmetic, operand)
        quantised = interpreted.activations(x, packed, 0.5)
        found.append(interpreted.run(quantised, packed, TILE, out=poisoned(5, 16)))
        assert torch.equal(found[-1].double(), a8.reference(quantised, packed))
    assert torch.equal(*found)
    assert found[0].unique().numel() > 10


@pytest.mark.parametrize("names", [("int3", "int8"), ("e2m4", "int8"), ("e2m3", "e2m3"), ("uint8", "uint8")])
def test_sums_of_int8_are_exact(interpreted: ModuleType, names: tuple[str, str]) -> None:
    """With scales of 1 and sums below 2**24 nothing rounds, however the inputs are split."""
    fmt, other = map(parse, names)
    packed = weights(fmt, other, 16, 200, rows=16, words=8)
    packed.scales.fill_(1.0)
    x = interpreted.activations(torch.randn(2, 200) * 50, packed, 1.0)
    for split in (1, 3):
        y = interpreted.run(x, packed, Tile(16, 16, 8, 1, split), out=poisoned(2, 16))
        assert torch.equal(y.double(), a8.reference(x, packed))


SHAPES = [
    (1, 1, 1, "int4", "int8", 1, torch.float32),
    (5, 33, 100, "int3", "uint8", 3, torch.float16),
    (17, 48, 256, "int4", "int8", 1, torch.bfloat16),
    (17, 20, 130, "e3m2", "e4m3fn", 2, torch.bfloat16),
    (16, 16, 64, "e2m3", "e2m3", 2, torch.float32),
    (33, 40, 130, "int5", "uint8", 1, torch.float16),
    (2, 20, 600, "int4", "int8", 4, torch.float32),
]


@pytest.mark.parametrize(("m", "n", "k", "fmt", "other", "split", "dtype"), SHAPES)
def test_any_shape_split_and_output(
    interpreted: ModuleType, m: int, n: int, k: int, fmt: str, other: str, split: int, dtype: torch.dtype
) -> None:
    packed = weights(parse(fmt), parse(other), n, k, rows=16, words=8)
    torch.manual_seed(0)
    x, bias, tile = interpreted.activations(torch.randn(m, k), packed), torch.randn(n), Tile(16, 16, 8, 1, split)
    work = Workspace.of(m, packed, tile)
    for _ in range(2):  # the second time with the counts that the first has left
        y = interpreted.run(x, packed, tile, bias=bias, out=poisoned(m, n, dtype), work=work)
        assert close(y, x, packed, bias)
    assert not work.arrived.any()


GROUPED = [
    ("int4", "int8", 32, 8, 1, False),
    ("int4", "int8", 128, 32, 2, True),
    ("int4", "uint8", 64, 8, 1, True),
    ("uint3", "uint8", 64, 16, 2, True),
    ("uint8", "int6", 32, 8, 1, True),
    ("uint8", "uint8", None, 8, 2, True),
    ("int8", "int8", None, 8, 1, True),
    ("int5", "int4", 64, 8, 2, False),
    ("e2m1", "e4m3fn", 64, 8, 2, False),
    ("e2m3", "e2m3", 32, 8, 1, False),
]


@pytest.mark.parametrize(("fmt", "other", "group", "words", "split", "zeroed"), GROUPED)
def test_groups_and_zero_points(
    interpreted: ModuleType, fmt: str, other: str, group: int | None, words: int, split: int, zeroed: bool
) -> None:
    own, n, k = parse(fmt), 20, 300
    shape = (n,) if group is None else (n, -(-k // group))
    low = -(1 << own.bits - 1) if own.signed else 0
    torch.manual_seed(0)
    zeros = torch.randint(low, low + (1 << own.bits), shape) if zeroed else None
    scales = torch.float32 if group is None else torch.float16
    packed = weights(own, parse(other), n, k, rows=16, words=words, group=group, zeros=zeros, scales=scales)
    x, tile = interpreted.activations(torch.randn(3, k), packed), Tile(16, 16, words, 1, split)
    assert close(interpreted.run(x, packed, tile, out=poisoned(3, n)), x, packed)


@pytest.mark.parametrize("group", [None, 32])
@pytest.mark.parametrize("fmt", ["int4", "uint4", "uint8", "e2m1", "e1m3"])
def test_what_is_packed_is_what_was_meant(fmt: str, group: int | None) -> None:
    """Scales times the values less the zero points, in float64."""
    own, generator = parse(fmt), np.random.default_rng(0)
    codes = generator.integers(0, 1 << own.bits, (9, 70)).astype(np.uint8)
    shape = (9,) if group is None else (9, 3)
    scales, low = torch.rand(shape), -(1 << own.bits - 1) if own.signed else 0
    zeros = torch.randint(low, low + (1 << own.bits), shape) if own.exponent == 0 else None
    packed = pack(torch.from_numpy(codes), scales, own, parse("int8"), group=group, zeros=zeros, rows=16, words=8)
    each = (scales[:, None] if group is None else scales.repeat_interleave(32, 1)[:, :70]).double()
    points = 0 if zeros is None else (zeros[:, None] if group is None else zeros.repeat_interleave(32, 1)[:, :70])
    assert torch.equal(packed.dense(), (torch.from_numpy(decode(own, codes)) - points) * each)
    assert packed.nbytes == packed.words.nbytes + packed.scales.nbytes + (
        0 if packed.zeros is None else packed.zeros.nbytes
    )


def test_no_number_stays_in_its_vector(interpreted: ModuleType) -> None:
    packed = weights(parse("int4"), parse("int8"), 20, 70, rows=16, words=8)
    x = torch.randn(4, 70)
    x[2, 5] = nan
    for scale, split in ((None, 1), (0.1, 2)):
        own = interpreted.activations(x, packed, scale)
        y = interpreted.run(own, packed, Tile(16, 16, 8, 1, split))
        assert y.isnan().all(1).tolist() == [False, False, True, False]
        assert not y[[0, 1, 3]].isnan().any()


@pytest.mark.parametrize("split", [1, 2])
def test_nothing_beyond_is_written(interpreted: ModuleType, split: int) -> None:
    packed, tile = weights(parse("int4"), parse("int8"), 20, 70, rows=16, words=8), Tile(16, 16, 8, 1, split)
    x, work = interpreted.activations(torch.randn(4, 70), packed), Workspace.of(4, packed, tile)
    memory, partial = torch.full((4 * 20 + 64,), 77.0), torch.full((len(work.partial) + 64,), 77.0)
    inner = Workspace(partial[32:-32], work.arrived)
    y = interpreted.run(x, packed, tile, out=memory[32:-32].view(4, 20), work=inner)
    assert close(y, x, packed)
    for tensor in (memory, partial):
        assert (tensor[:32] == 77).all()
        assert (tensor[-32:] == 77).all()


def test_no_vectors_no_work() -> None:
    packed = weights(parse("int4"), parse("int8"), 20, 70, rows=16, words=8)
    x = Quantised(torch.zeros(0, packed.inputs, dtype=torch.int8), torch.zeros(0), parse("int8"), 70, INT8)
    assert a8.run(x, packed, TILE).shape == (0, 20)


@pytest.mark.parametrize("fmt", ["int8", "uint8", "e4m3fn", "e5m2ieee"])
def test_weights_of_8_bits_lie_as_a_dense_matrix(interpreted: ModuleType, fmt: str) -> None:
    """Output by output, and stay so when they are copied."""
    packed = weights(parse(fmt), parse("e4m3fn" if "e" in fmt else "int8"), 20, 70, rows=16, words=8)
    dense = packed.operands.view(DTYPES[packed.own.operand]).double()
    assert packed.operands.data_ptr() == packed.words.data_ptr()
    assert torch.equal(dense[:20, :70], packed.stored_numbers())
    assert torch.equal(packed.to("cpu").words, packed.words)
    copy = replace(packed, words=packed.words.clone())
    x = interpreted.activations(torch.randn(3, 70), packed)
    found, again = (interpreted.run(x, one, TILE, out=poisoned(3, 20)) for one in (packed, copy))
    assert not found.isnan().any()
    assert torch.equal(found, again)
    with pytest.MonkeyPatch.context() as patch:  # other GPUs read the same memory word by word
        patch.setattr(interpreted, "_from_shared", lambda device: False)
        assert torch.equal(interpreted.run(x, packed, TILE, out=poisoned(3, 20)), found)
    scattered = replace(packed, words=packed.words.contiguous())
    message = "operands are words of 8-bit numbers that lie output by output, as `ordered` has them"
    with pytest.raises(ValueError, match=f"^{message}$"):
        interpreted.run(x, scattered, TILE)


# ---- what it does not take -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fmt", "other", "options", "message"),
    [
        (
            "e2m5",
            "int8",
            {},
            r"e2m5 weights and int8 activations have no exact product of 8 bits; they have one of float16",
        ),
        (
            "int4",
            "int8",
            {"arithmetic": "fp8"},
            r"int4 weights and int8 activations have no exact product of fp8; they have one of int8",
        ),
        ("int4", "e4m3fn", {"zeros": 0}, r"zero points take sums of int8, which are exact, not those of e4m3fn on fp8"),
        ("int4", "e4m3fn", {"code": 8}, r"int4 weights on e4m3fn are finite and symmetric, not -8"),
        (
            "int8",
            "int8",
            {"group": 64, "words": 8},
            r"a block of 32 inputs has whole groups, not one of 64; the nearest layout has 16 words",
        ),
    ],
)
def test_weights_that_it_does_not_take(fmt: str, other: str, options: dict[str, Any], message: str) -> None:
    codes = torch.full((4, 64), options.pop("code", 1), dtype=torch.uint8)
    zeros = torch.zeros(4, dtype=torch.int32) if options.pop("zeros", None) is not None else None
    scales = torch.ones((4, 1) if "group" in options else (4,))
    with pytest.raises(ValueError, match=f"^{message}$"):
        pack(codes, scales, parse(fmt), parse(other), zeros=zeros, **options)


def test_products_that_it_does_not_take() -> None:
    packed = weights(parse("int4"), parse("int8"), 20, 70, rows=16, words=8)
    x = Quantised(torch.zeros(3, packed.inputs, dtype=torch.int8), torch.ones(3), parse("int8"), 70, INT8)
    short = replace(x, codes=x.codes[:, :70])
    zeroed = replace(packed, zeros=torch.zeros(1, 32, dtype=torch.int8))
    refused: list[tuple[Quantised, Packed8, dict[str, Any], str]] = [
        (
            x,
            packed,
            {"tile": Tile(16, 4, 8, 1)},
            r"a tile has 8, 16, 32, 64, 128, 256 columns, not 4; the nearest is 8",
        ),
        (replace(x, fmt=parse("int6")), packed, {}, r"these weights multiply int8 activations, not int6"),
        (
            replace(x, codes=x.codes[0]),
            packed,
            {},
            r"these weights multiply dense vectors of int8, not int8 of \(128,\) and strides \(1,\)",
        ),
        (
            replace(x, codes=x.codes.view(torch.uint8)),
            packed,
            {},
            r"these weights multiply dense vectors of int8, not uint8 of \(3, 128\) and strides \(128, 1\)",
        ),
        (replace(x, scales=torch.ones(2)), packed, {}, r"3 vectors have 3 dense float32 scales, not float32 of \(2,\)"),
        (
            replace(x, scales=x.scales.to("meta")),
            packed,
            {},
            r"all of a product is on the device of its weights, cpu, unlike the activations, on meta",
        ),
        (short, packed, {}, r"these weights have 70 inputs, padded to 128, not 70 padded to 70"),
        (x, zeroed, {}, r"weights with zero points take 1 sums of an activation vector, not none"),
        (
            x,
            packed,
            {"out": torch.zeros(20, 3).T},
            r"sums are dense float16, bfloat16 or float32 of shape \(3, 20\),"
            r" not float32 of \(3, 20\) and strides \(1, 3\)",
        ),
        (
            replace(x, k=200000),
            replace(packed, k=200000),
            {},
            r"an int32 sums up to 131071 products of these formats, not 200000; take groups of inputs",
        ),
    ]
    for own, weight, options, message in refused:
        tile = options.pop("tile", TILE)
        with pytest.raises(ValueError, match=f"^{message}$"):
            a8.run(own, weight, tile, **options)


# ---- compiled: what a GPU would run --------------------------------------------------------------


def assembled(fmt: str, other: str, tile: Tile, arch: int, folder: str) -> str:
    """PTX of the kernel."""
    packed = weights(parse(fmt), parse(other), 2 * tile.rows, 2048, rows=tile.rows, words=tile.words)
    embedding = packed.path.activations
    codes = torch.zeros(50, packed.inputs, dtype=DTYPES[embedding.operand])
    x = Quantised(codes, torch.ones(50), parse(other), 2048, embedding)
    y = torch.zeros(50, packed.n, dtype=torch.float16)
    target = GPUTarget("cuda", arch, 32)
    kernel, backend = a8.kernel, make_backend(target)
    given = a8.arguments(x, packed, tile, None, y, Workspace.of(50, packed, tile), arch >= a8.FROM_SHARED)
    given |= {"num_warps": tile.warps} | a8.OPTIONS
    bound_, key, options = create_function_from_signature(kernel.signature, kernel.params, backend)(**given)
    parsed, *parts = kernel._pack_args(backend, given, bound_, key, options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_CACHE_DIR", folder)
        return str(triton.compile(ASTSource(kernel, *parts), target=target, options=vars(parsed)).asm["ptx"])


@pytest.mark.parametrize(
    ("fmt", "other", "kind"),
    [("int4", "int8", "s32.s8.s8"), ("e3m2", "e4m3fn", "f32.e4m3.e4m3"), ("e5m1", "e4m3fn", "f32.e5m2.e4m3")],
)
def test_a_hopper_multiplies_weights_from_registers(fmt: str, other: str, kind: str, tmp_path: Path) -> None:
    """Four registers of weights, 32 inputs an instruction; sums of 8-bit floats go on in float32 after four of them."""
    ptx = assembled(fmt, other, Tile(64, 16, 32, 2, 2), 90, str(tmp_path))
    shape, registers = r"wgmma\.mma_async\.sync\.aligned\.m64n16k32\.([\w.]+)", r"\{([%r\d,]+)\}"
    found = re.findall(rf"{shape} {registers}, {registers}, %rd\d+, ([^,;]+)", ptx)
    block = 4 * 8 // np.gcd(8, parse(fmt).bits)  # instructions: four for each field
    assert len(found) == block == ptx.count("wgmma.mma_async")
    assert {kind_ for kind_, *_ in found} == {kind}
    assert {len(weights_.split(",")) for _, _, weights_, _ in found} == {4}
    if kind.startswith("f32"):
        assert ["0" if go_on == "0" else "on" for *_, go_on in found] == ["0", "on", "on", "on"] * (block // 4)
        for _, sums, *_ in found[::4]:
            assert all(re.search(rf"add\.rn\.f32 \t%r\d+, %r\d+, {one};", ptx) for one in sums.split(","))


@pytest.mark.parametrize(
    ("arch", "fmt", "other"),
    [
        (80, "int4", "int8"),
        (80, "int8", "int8"),
        (89, "e2m1", "e4m3fn"),
        (89, "e5m2ieee", "e4m3fn"),
        (100, "int8", "int8"),
    ],
)
def test_other_gpus_have_it_too(arch: int, fmt: str, other: str, tmp_path: Path) -> None:
    assert re.search(r"mma|tcgen05", assembled(fmt, other, Tile(64, 16, 16, 2), arch, str(tmp_path)))


# ---- on a GPU ------------------------------------------------------------------------------------

# A tensor core adds products and the sum so far with 13 bits after the point of the largest, which loses nothing, and
# cuts off the sum: an sm_90 32 products at once, an sm_89 twice 16 (MMA-Sim, arXiv:2511.10909). So 33 or 34 times it
# loses less than 2**-13 of all their magnitudes, and this four times before a sum goes on in float32.
LOST = 4 * 34 * 2.0**-13


@gpu
@each_pair
@pytest.mark.parametrize(("m", "n", "k", "tile"), ON_GPU)
def test_a_gpu_multiplies(pair: tuple[Format, Format], m: int, n: int, k: int, tile: Tile) -> None:
    if pair[0] == parse("e5m1") and tile.columns > 16:
        tile = replace(tile, columns=16)
    packed = weights(*pair, n, k, rows=tile.rows, words=tile.words)
    on_gpu = packed.to("cuda")
    x = a8.activations(torch.randn(m, k, device="cuda"), on_gpu)
    bias, fp8 = torch.randn(n), LOST if packed.path.arithmetic == "fp8" else 0.0
    for dtype in OUTPUTS:
        y = a8.run(x, on_gpu, tile, bias=bias.cuda(), out=poisoned(m, n, dtype, "cuda"))
        assert close(y, x, packed, bias, fp8)
