"""What a GPU would run: kernels are compiled for GPUs that need not be there, and their machine code is read.

A turn of the loop decodes a block of weights and multiplies it. Whether that keeps up with the memory is decided by how
many instructions a weight takes, whether tensor cores read it from registers, and how wide loads are. The bars are
counts of prototypes that Triton 3.6 compiled: instructions of the whole kernel for each weight of a turn. They are held
here with the Triton that is installed; other versions make other code.
"""

from collections.abc import Iterator
from functools import cache
from itertools import product

import pytest

pytest.importorskip("triton", reason="needs triton")

import triton

from hwdse import compiled
from hwdse.gemm import Tile
from hwdse.kernels._table import Request, compile_for, group_of, make, requests, useful
from hwdse.machine_code import MachineCode

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


def test_eight_bit_integers_are_hardly_decoded() -> None:
    """On int8 a weight of 8 bits is four in a word as it is."""
    found, weights = code(request("a8", "int8", "int8", "128x16:w32:s3:k1:t4"))
    assert found.loop is not None
    assert found.loop.integer < 0.25 * weights


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
        (request("a16", "e2m1", "float16", "128x16:w32:s3:k1:t4", 100), "UTCHMMA"),
    ],
    ids=lambda one: str(getattr(one, "architecture", "")),
)
def test_other_architectures_compile_to_their_tensor_cores(one: Request, name: str) -> None:
    found, _ = code(one)
    assert {product_.name for product_ in found.products} == {name}
    assert found.spills == 0


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
