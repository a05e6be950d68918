"""What a GPU would run: kernels are compiled for GPUs that need not be there, and their machine code is read.

A turn of the loop decodes a block of weights and multiplies it. Whether that keeps up with the memory is decided by how
many instructions a weight takes, whether tensor cores read it from registers, and how wide loads are. The bars are
counts of prototypes that Triton 3.6 compiled: instructions of the whole kernel for each weight of a turn. They are held
here with the Triton that is installed; other versions make other code.
"""

from collections.abc import Iterator
from functools import cache
from itertools import product
from math import prod

import pytest

pytest.importorskip("triton", reason="needs triton")

import triton

from hwdse import compiled
from hwdse.gemm import Tile
from hwdse.kernels._table import Request, compile_for, group_of, make, requests, useful
from hwdse.machine_code import MachineCode, Product

ADDRESSES = 8  # loads of 4 bytes or less that a kernel may have: scales and corrections of outputs, outside the loop


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing that was compiled before, and nothing that stays."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_CACHE_DIR", str(tmp_path_factory.mktemp("triton")))
        yield


def request(
    kernel: str, weights: str, activations: str, tile: str, architecture: int = 90, *, grouped: bool = False
) -> Request:
    """A kernel for a format and a tile."""
    return Request(kernel, weights, activations, grouped, Tile.parse(tile), architecture)


@cache
def code(one: Request) -> tuple[MachineCode, float]:
    """Its machine code, and the weights that a thread decodes in a turn."""
    found, inputs = compile_for(one)
    return found, one.tile.rows * inputs / (32 * one.tile.warps)


# Integer instructions of a weight, at most. e2m1, int3 and e3m2 on 16 bits, e2m1 on 8-bit floats and int4 on int8 are
# counts of prototypes, which were made with Triton 3.6; of int4 and int8 on 16 bits there were none: what they are now
# with 3.9, and a tenth.
HOPPER = {
    request("a16", "e2m1", "float16", "128x16:w32:s3:k1:t4"): 2.5,
    request("a16", "int4", "float16", "128x16:w32:s3:k1:t4"): 1.65,
    request("a16", "int3", "float16", "128x16:w32:s2:k1:t4"): 1.25,
    request("a16", "e3m2", "float16", "128x16:w32:s3:k1:t4"): 3.3,
    request("a16", "int8", "float16", "128x16:w32:s3:k1:t4"): 3.1,
    request("a16", "e2m1", "bfloat16", "128x16:w32:s3:k1:t4"): 2.6,
    request("a16", "int4", "float16", "128x16:w32:s3:k1:t4", grouped=True): 3.0,
    request("a8", "e2m1", "fp8", "128x16:w32:s3:k1:t4"): 1.6,
    request("a8", "int4", "int8", "128x16:w32:s3:k1:t4"): 1.95,
}
each = pytest.mark.parametrize("one", HOPPER, ids=lambda one: f"{one.kernel}-{one.weights}-{one.activations}")


@each
def test_weights_are_multiplied_from_registers(one: Request) -> None:
    found, weights = code(one)
    kinds = {"float16": "HGMMA.64x16x16.F32", "bfloat16": "HGMMA.64x16x16.F32.BF16"}
    kinds |= {"fp8": "QGMMA.64x16x32.F32.E4M3.E4M3", "int8": "IGMMA.64x16x32.S8.S8"}
    assert {(product_.name, product_.registers) for product_ in found.products} == {(kinds[one.activations], True)}
    # One turn has as many of them as the block has 64 outputs and 16 or 32 inputs, and no more.
    depth = 32 if one.activations in ("fp8", "int8") else 16
    assert found.loop is not None
    assert found.loop.product == weights * 32 * one.tile.warps / (64 * depth)


@each
def test_memory_is_read_16_bytes_at_a_time(one: Request) -> None:
    found, _ = code(one)
    wide = [load.count for load in found.loads if load.bytes == 16]
    rest = [load.count for load in found.loads if load.bytes != 16]
    assert sum(wide) > 4 * sum(rest)
    assert sum(rest) <= ADDRESSES
    assert all(load.bytes in (16, 4, 2) for load in found.loads)


@each
def test_nothing_spills(one: Request) -> None:
    assert code(one)[0].spills == 0


@each
def test_integer_instructions_of_a_weight(one: Request) -> None:
    found, weights = code(one)
    assert found.of_integer(round(weights)) <= HOPPER[one]


READY = {  # weights that are operands; the integer instructions of a turn, at most, which are addresses
    request("a8", "int8", "int8", "128x16:w32:s3:k1:t4"): 40,
    request("a8", "int8", "int8", "128x256:w32:s3:k1:t8"): 40,
    request("a8", "e4m3fn", "fp8", "128x16:w32:s3:k1:t4"): 40,
    request("a8", "e4m3fn", "fp8", "128x128:w32:s3:k1:t4"): 50,
    request("a8", "e5m2ieee", "fp8", "128x64:w32:s3:k1:t4"): 40,
}
each_ready = pytest.mark.parametrize("one", READY, ids=lambda one: f"{one.weights}-{one.tile.name}")


@each_ready
def test_weights_of_8_bits_are_multiplied_from_shared_memory(one: Request) -> None:
    """No register holds one: they come in copies of 16 bytes, which tensor cores read where these end."""
    found, _ = code(one)
    assert {product_.registers for product_ in found.products} == {False}
    wide = {load.name.partition(".")[0] for load in found.loads if load.bytes == 16}
    assert wide == {"LDGSTS"}
    assert found.spills == 0
    turn = sum(_macs(product_) for product_ in found.products) * one.tile.warps // 4
    assert turn == one.tile.rows * one.tile.columns * 4 * one.tile.words
    assert found.loop is not None
    assert found.loop.product == sum(product_.count for product_ in found.products)
    assert found.loop.integer <= READY[one]


def _macs(product_: Product) -> int:
    """Of the instructions `QGMMA.64x128x32.F32.E4M3.E4M3`."""
    return product_.count * prod(map(int, product_.name.split(".")[1].split("x")))


ADA = [  # of blocks of 64, 128, 256 and 512 inputs
    *(request("a8", weights, "fp8", "64x16:w16:s3:k1:t4", 89) for weights in ("e4m3fn", "e2m1", "e3m2")),
    request("a8", "e5m1", "fp8", "64x16:w16:s2:k1:t4", 89),
]


@pytest.mark.parametrize("one", [*READY, *ADA], ids=lambda one: f"{one.architecture}-{one.weights}-{one.tile.name}")
def test_sums_of_8_bit_floats_go_on_in_float32(one: Request) -> None:
    """One addition for each of a thread's sums and 128 inputs, or a turn of fewer; int8 has none."""
    found, weights = code(one)
    assert found.loop is not None
    threads = 32 * one.tile.warps
    sums, inputs = one.tile.rows * one.tile.columns // threads, weights * threads / one.tile.rows
    assert found.loop.float == (sums * max(1, inputs / 128) if one.activations == "fp8" else 0)
    assert found.spills == 0


@pytest.mark.parametrize(("weights", "arithmetic"), [("e2m1", "fp8"), ("int4", "int8")])
def test_a_group_takes_one_instruction_of_a_sum(weights: str, arithmetic: str) -> None:
    """That adds it, times its scale; and one that makes an int32 a float. Nothing else is fused: `a8.OPTIONS`."""
    one = request("a8", weights, arithmetic, "128x16:w32:s3:k1:t4", grouped=True)
    found, inputs = compile_for(one)
    assert found.loop is not None
    sums = one.tile.rows * one.tile.columns // (32 * one.tile.warps) * inputs // 128
    least = 2 * sums if arithmetic == "int8" else sums
    assert least <= found.loop.float < least + sums / 2  # the rest: a scale of a group and row becomes float32


@pytest.mark.parametrize("weights", ["int3", "int5", "e2m2"])
@pytest.mark.parametrize("grouped", [False, True], ids=["channels", "groups"])
def test_short_fields_are_multiplied_together(weights: str, grouped: bool) -> None:
    """Of 8 inputs each: eight are one product of four instructions for each 64 rows, and all else stays the same."""
    found, _ = code(request("a16", weights, "float16", "128x64:w4:s3:k1:t4", grouped=grouped))
    assert found.loop is not None
    assert [(product_.name, product_.registers) for product_ in found.products] == [("HGMMA.64x64x16.F32", True)]
    assert found.loop.product == 128 // 64 * 128 // 16
    assert found.loop.total < 3.3 * 128
    assert found.spills == 0


def test_no_lanes_are_turned_around_on_any_gpu() -> None:
    """The compiler for sm_80 joins none itself."""
    counts = []
    for architecture in (80, 89):
        found, weights = code(request("a16", "int4", "float16", "64x16:w16:s2:k1:t4", architecture, grouped=True))
        counts.append(found.of_integer(round(weights)))
    assert max(counts) < 1.1 * min(counts)


@pytest.mark.parametrize("grouped", [False, True], ids=["channels", "groups"])
@pytest.mark.parametrize("kernel", ["gemv", "unpack"])
def test_kernels_without_tensor_cores_compile(kernel: str, grouped: bool) -> None:
    tile = {"gemv": "64x1:w16:s3:k1:t4", "unpack": "64x1:w32:s1:k1:t4"}[kernel]
    found, _ = code(request(kernel, "int4", "float16", tile, grouped=grouped))
    assert not found.products
    assert found.spills == 0


@pytest.mark.parametrize(
    ("one", "name"),
    [
        (request("a16", "e2m1", "float16", "64x16:w16:s3:k1:t4", 80), "HMMA.16816.F32"),
        (request("a8", "int4", "int8", "64x16:w16:s3:k1:t4", 80), "IMMA.16832.S8.S8.SAT"),
        (request("a8", "e2m1", "fp8", "64x16:w16:s3:k1:t4", 89), "QMMA.16832.F32.E4M3.E4M3"),
        (request("a8", "e2m1", "fp8", "32x16:w16:s2:k1:t4", 90), "HMMA.16816.F32"),  # of fewer rows than a `wgmma` has
        (request("a8", "e2m1", "fp8", "64x16:w16:s2:k1:t2", 90), "HMMA.16816.F32"),  # of fewer warps
        (request("a16", "e2m1", "float16", "128x16:w32:s3:k1:t4", 100), "UTCHMMA"),
    ],
    ids=lambda one: str(getattr(one, "architecture", "")),
)
def test_other_architectures_compile_to_their_tensor_cores(one: Request, name: str) -> None:
    found, _ = code(one)
    assert {product_.name for product_ in found.products} == {name}
    assert found.spills == 0


@pytest.mark.parametrize("architecture", [80, 89])
def test_weights_of_8_bits_come_in_words_where_registers_are_multiplied(architecture: int) -> None:
    """As bytes they would be taken apart between the turns, and put together again: three instructions of each."""
    found, weights = code(request("a8", "int8", "int8", "64x16:w16:s3:k1:t4", architecture))
    assert found.loop is not None
    assert found.loop.integer < 1.5 * weights


# ---- the table that ships ------------------------------------------------------------------------


Key = tuple[str, str, str, bool, Tile, int]


def key(one: Request | compiled.Compiled) -> Key:
    """What tells rows apart."""
    return one.kernel, one.weights, one.activations, one.grouped, one.tile, one.architecture


def test_the_table_has_what_was_asked_for_and_nothing_else() -> None:
    rows, wanted = {key(row) for row in compiled.table()}, {key(one) for one in requests()}
    assert len(compiled.table()) == len(rows)
    assert rows <= wanted
    assert {(*one[:4], one[5]) for one in rows} == {(*one[:4], one[5]) for one in wanted}  # every format has some tile


def test_no_row_of_the_table_spills_and_each_fits_some_gpu() -> None:
    assert [row for row in compiled.table() if not useful(row)] == []


def test_what_the_table_leaves_out_spills_or_fits_no_gpu() -> None:
    """The one of the smallest tile, where Triton is the one that made the table."""
    _same_triton()
    rows = {key(row) for row in compiled.table()}
    absent = [one for one in requests() if key(one) not in rows]
    small = min(absent, key=lambda one: (one.tile.rows * one.tile.columns * one.tile.words, one.weights))
    assert not useful(make(small))


@pytest.mark.parametrize(
    ("weights", "activations", "tile", "group"),
    [
        ("int8", "int8", "64x16:w8:s3:k1:t4", 32),  # a block of 32 inputs
        ("int4", "int8", "64x16:w8:s3:k1:t4", 64),
        ("int3", "int8", "64x16:w8:s3:k1:t4", 128),
        ("int8", "float16", "64x16:w8:s4:k1:t4", 128),  # of 16 bits a group may have several blocks
    ],
)
def test_groups_are_as_large_as_a_layout_takes(weights: str, activations: str, tile: str, group: int) -> None:
    kernel = "a16" if activations == "float16" else "a8"
    assert group_of(request(kernel, weights, activations, tile, grouped=True)) == group


def _same_triton() -> None:
    versions = {row.triton for row in compiled.table()}
    if versions != {triton.__version__}:
        pytest.skip(f"the table was made with Triton {', '.join(sorted(versions))}")


def test_rows_of_the_table_are_what_this_compiler_makes() -> None:
    """A row of each kernel, where Triton is the one that made the table."""
    _same_triton()
    for kernel, weights in product(("a16", "a8", "gemv", "unpack"), ("int4",)):
        own = [row for row in compiled.table() if (row.kernel, row.weights, row.architecture) == (kernel, weights, 90)]
        row = min(own, key=lambda row: (row.grouped, row.tile.rows * row.tile.columns, row.tile.name, row.activations))
        one = Request(row.kernel, row.weights, row.activations, row.grouped, row.tile, row.architecture)
        assert make(one) == row
