"""Compiles the kernels for formats, tiles and architectures, and writes what `hwdse.compiled` reads.

    python -m hwdse.kernels._table [--out FILE] [--only KERNEL...] [--workers N]

No GPU is needed; a row takes a second or two. Rows of kernels that are not asked for are kept. Each says which Triton
made it: another version makes other code of the same kernel, with other registers and other spills.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import Any

import torch
import triton

from hwdse import compiled
from hwdse.compiled import Compiled
from hwdse.decode_steps import Manner, layout_of, manner
from hwdse.formats import Format, known_formats, parse
from hwdse.gemm import GROUPS, Tile
from hwdse.kernels import _packed, _packed8, a8, a16, gemv, unpack, unpack8
from hwdse.kernels._compile import machine_code
from hwdse.kernels._packed import Packed
from hwdse.kernels._packed8 import Packed8
from hwdse.kernels._sums import Workspace
from hwdse.kernels.quantise import DTYPES, Quantised
from hwdse.machine_code import MachineCode
from hwdse.paths import embed
from hwdse.target import gpu, gpus

M, N, K = 512, 4096, 4096  # of the products that are compiled for: divisible by 16, as those of large layers are
FORMATS = (*known_formats(bits=range(3, 9)), *map(parse, ("e4m3fn", "e5m2ieee")))
RARE = "wide"  # a rule: 5 exponent bits, all finite, in float16
ACTIVATIONS_8 = {"int8": parse("int8"), "fp8": parse("e4m3fn")}  # that each arithmetic is compiled for


@dataclass(frozen=True, slots=True)
class Request:
    """One row to be made."""

    kernel: str
    weights: str
    activations: str  # float16, bfloat16, int8 or fp8
    grouped: bool
    tile: Tile
    architecture: int


EVEN, ODD = (4, 6, 8), (3, 5, 7)  # bits: a block of an odd width has 8 times the inputs of one of 8 bits, or 4 times
DECODED = tuple(range(3, 8))  # bits of formats that become operands of 8 bits; those of 8 are them


@dataclass(frozen=True, slots=True)
class Campaign:
    """Rows of one kernel: for every format that stands for others, with each of the rest."""

    kernel: str
    arithmetic: tuple[str, ...]
    architectures: tuple[int, ...]
    grouped: bool
    tiles: str  # their text forms
    bits: tuple[int, ...] = tuple(range(3, 9))  # of the formats


HALF, BRAIN, FLOATS, EIGHT = ("float16",), ("bfloat16",), ("float16", "bfloat16"), ("int8", "fp8")
EITHER = (False, True)  # without groups and with them
# Of 64 to 128 outputs and 16 to 256 vectors; long blocks, of odd widths, have few words or stages, or registers would
# spill. Weights are packed once, for few vectors and for many: so of as many rows and words there are tiles of several
# columns, of which two programs fit in a multiprocessor. Those of 64 outputs are for layers with few, those of 8 words
# for layers whose inputs longer blocks would pad, and those of 16 for small groups. Those for 80 and 89 fit into 100
# KiB of shared memory.
CAMPAIGNS = (
    *(Campaign("unpack", FLOATS, (90,), some, "64x1:w16:s1:k1:t4") for some in EITHER),
    *(Campaign("unpack", HALF, (80, 89), some, "64x1:w16:s1:k1:t4") for some in EITHER),
    Campaign("unpack8", EIGHT, (89, 90), False, "64x1:w16:s1:k1:t4"),
    Campaign("unpack8", ("int8",), (80,), False, "64x1:w16:s1:k1:t4"),
    Campaign("gemv", HALF, (90,), False, "64x1:w16:s3:k1:t4"),
    Campaign("a16", HALF, (90,), False, "64x16:w8:s4:k1:t4", EVEN),
    *(Campaign("a16", HALF, (90,), some, "64x16:w32:s3:k1:t4 64x32:w16:s3:k1:t4", EVEN) for some in EITHER),
    *(Campaign("a16", HALF, (90,), some, "64x16:w8:s3:k1:t4 64x32:w8:s3:k1:t4", ODD) for some in EITHER),
    Campaign("a16", FLOATS, (90,), False, "128x16:w32:s2:k1:t4 128x32:w32:s2:k1:t4 128x64:w32:s2:k1:t4", (4, 8)),
    Campaign("a16", HALF, (90,), False, "128x128:w16:s2:k1:t8", (8,)),
    Campaign("a16", FLOATS, (90,), False, "128x16:w16:s3:k1:t4 128x32:w16:s2:k1:t4 128x64:w16:s2:k1:t4", (6,)),
    Campaign("a16", FLOATS, (90,), False, "128x16:w8:s2:k1:t4 128x32:w8:s2:k1:t4 128x64:w8:s2:k1:t4", ODD),
    Campaign("a16", HALF, (90,), True, "128x16:w32:s2:k1:t4 128x32:w32:s2:k1:t4 128x64:w32:s2:k1:t4", (4, 8)),
    Campaign("a16", FLOATS, (90,), True, "128x16:w16:s3:k1:t4 128x64:w16:s3:k1:t4", (4, 8)),
    Campaign("a16", BRAIN, (90,), True, "128x32:w16:s2:k1:t4", (4, 8)),
    Campaign("a16", FLOATS, (90,), True, "128x16:w16:s3:k1:t4 128x32:w16:s2:k1:t4 128x64:w8:s3:k1:t4", (6,)),
    Campaign("a16", FLOATS, (90,), True, "128x16:w4:s4:k1:t4 128x32:w4:s3:k1:t4 128x64:w4:s3:k1:t4", ODD),
    Campaign("a16", HALF, (90,), True, "128x16:w8:s2:k1:t4", ODD),
    *(Campaign("a16", HALF, (80, 89), some, "64x16:w16:s2:k1:t4 64x32:w16:s2:k1:t4", EVEN) for some in EITHER),
    *(Campaign("a16", HALF, (80, 89), some, "64x16:w8:s2:k1:t4 64x32:w8:s2:k1:t4", ODD) for some in EITHER),
    *(Campaign("a16", HALF, (80,), some, "64x64:w8:s2:k1:t4", ODD) for some in EITHER),
    Campaign("a16", BRAIN, (80, 89), False, "64x16:w16:s2:k1:t4"),
    Campaign("a8", EIGHT, (90,), False, "64x16:w8:s3:k1:t4", DECODED),
    Campaign("a8", EIGHT, (90,), False, "128x16:w32:s3:k1:t4", EVEN),
    Campaign("a8", EIGHT, (90,), False, "128x16:w16:s3:k1:t4", ODD),
    Campaign("a8", ("int8",), (90,), False, "128x64:w16:s3:k1:t4 128x128:w16:s2:k1:t8", DECODED),
    Campaign("a8", ("fp8",), (90,), False, "128x64:w8:s3:k1:t4", (3, 5, 6, 7)),
    Campaign("a8", ("fp8",), (90,), False, "128x64:w16:s3:k1:t4", (4,)),
    Campaign("a8", EIGHT, (90,), False, "64x16:w32:s4:k1:t4 64x32:w32:s4:k1:t4", (8,)),
    Campaign("a8", EIGHT, (90,), False, "128x64:w32:s3:k1:t4 128x128:w32:s3:k1:t4", (8,)),
    Campaign("a8", ("int8",), (90,), False, "128x256:w32:s3:k1:t8", (8,)),  # of fp8 it has two sums of each output
    Campaign("a8", EIGHT, (90,), True, "128x16:w32:s3:k1:t4", EVEN),
    Campaign("a8", EIGHT, (90,), True, "128x16:w16:s3:k1:t4", ODD),
    Campaign("a8", ("int8",), (90,), True, "128x64:w8:s3:k1:t4", DECODED),
    Campaign("a8", ("fp8",), (90,), True, "128x64:w8:s3:k1:t4", (4,)),
    Campaign("a8", EIGHT, (90,), True, "128x16:w8:s3:k1:t4", (6, 7)),
    Campaign("a8", ("fp8",), (90,), True, "128x64:w8:s3:k1:t8", (3, 5, 6, 7)),
    Campaign("a8", ("int8",), (90,), True, "64x16:w8:s3:k1:t4", DECODED),
    Campaign("a8", EIGHT, (90,), True, "128x64:w32:s2:k1:t4", (4, 8)),
    Campaign("a8", ("int8",), (80, 89), False, "64x16:w16:s3:k1:t4"),
    Campaign("a8", ("fp8",), (89,), False, "64x16:w16:s3:k1:t4", (3, 4, 5, 6, 8)),
    Campaign("a8", ("fp8",), (89,), False, "64x16:w16:s2:k1:t4", (7,)),
)


def representatives(arithmetic: str) -> tuple[Format, ...]:
    """One signed format of each width and rule that decodes for `arithmetic`, of the middle steps.

    For the formats of a rule that is left out, others of their width stand.
    """
    found: dict[tuple[int, str], list[tuple[Manner, Format]]] = {}
    for fmt in FORMATS:
        try:
            own = manner(fmt, arithmetic)
        except ValueError:
            continue
        if not own.rule.startswith(RARE):
            found.setdefault((own.bits, own.rule), []).append((own, fmt))
    return tuple(_middle(some) for some in found.values())


def _middle(some: list[tuple[Manner, Format]]) -> Format:
    ordered = sorted(some, key=lambda one: (one[0].steps, one[1].exponent))
    return ordered[(len(some) - 1) // 2][1]


def requests(only: Sequence[str] = ()) -> Iterator[Request]:
    """All rows of the table, or those of some kernels."""
    for one in CAMPAIGNS:
        if only and one.kernel not in only:
            continue
        for arithmetic in one.arithmetic:
            formats = [fmt.name for fmt in representatives(arithmetic) if fmt.bits in one.bits]
            tiles = [Tile.parse(name) for name in one.tiles.split()]
            for weights, tile, architecture in product(formats, tiles, one.architectures):
                yield Request(one.kernel, weights, arithmetic, one.grouped, tile, architecture)


def make(request: Request) -> Compiled:
    """The row of a request."""
    code, inputs = compile_for(request)
    loop = code.whole if code.loop is None else code.loop  # a program without a loop takes one turn
    asked = request.kernel, request.weights, request.activations, request.grouped, request.tile, request.architecture
    outside = code.whole.total - loop.total
    return Compiled(*asked, code.registers, code.shared_bytes, inputs, loop, outside, triton.__version__)


def useful(row: Compiled) -> bool:
    """Whether a kernel may be chosen: none of its registers is kept in memory, and some GPU has room for it."""
    known = [target for target in map(gpu, gpus()) if target.architecture == row.architecture]
    return row.loop.spill == 0 and any(map(row.occupancy, known))


def compile_for(request: Request) -> tuple[MachineCode, int]:
    """The machine code of a request, and the inputs that a turn of its loop takes."""
    kernel, given, inputs = _GIVEN[request.kernel](request)
    return machine_code(kernel, {**given, "num_warps": request.tile.warps}, request.architecture), inputs


# ---- what each kernel is launched with -----------------------------------------------------------

Given = tuple[Any, dict[str, Any], int]


def _unpack(request: Request) -> Given:
    packed = _packed_16(request)
    y = torch.empty(N, K, dtype=packed.floats)
    return unpack.kernel, unpack.arguments(packed, y, unpack.Scaling()), packed.layout.block


def _unpack8(request: Request) -> Given:
    packed = _packed_8(request)
    y = torch.empty(N, packed.inputs, dtype=DTYPES[packed.own.operand])
    return unpack8.kernel, unpack8.arguments(packed, y), packed.layout.block


def _a16(request: Request) -> Given:
    packed, tile = _packed_16(request), request.tile
    x = torch.empty(M, K, dtype=packed.floats)
    y, work = torch.empty(M, N, dtype=packed.floats), Workspace.of(M, packed, tile)
    return a16.kernel, a16.arguments(x, packed, tile, None, y, work), packed.layout.block


def _gemv(request: Request) -> Given:
    packed, tile = _packed_16(request), request.tile
    x, y = torch.empty(M, K, dtype=packed.floats), torch.empty(M, N, dtype=packed.floats)
    return gemv.kernel, gemv.arguments(x, packed, tile, None, y, Workspace.of(M, packed, tile)), packed.layout.block


def _a8(request: Request) -> Given:
    packed = _packed_8(request)
    embedded = embed(packed.activations, packed.path.activations.operand)
    assert embedded is not None
    codes = torch.empty(M, packed.inputs, dtype=DTYPES[packed.path.activations.operand])
    x = Quantised(codes, torch.empty(M, dtype=torch.float32), packed.activations, K, embedded)
    y, work = torch.empty(M, N, dtype=torch.float16), Workspace.of(M, packed, request.tile)
    given = a8.arguments(x, packed, request.tile, None, y, work, request.architecture >= a8.FROM_SHARED)
    return a8.kernel, given | a8.OPTIONS, packed.layout.block


_GIVEN: dict[str, Callable[[Request], Given]] = {
    "unpack": _unpack,
    "unpack8": _unpack8,
    "gemv": _gemv,
    "a16": _a16,
    "a8": _a8,
}


def _packed_16(request: Request) -> Packed:
    """Weights of the right shapes; what they are does not matter to a compiler."""
    tile, (codes, scales), group = request.tile, _weights(request), group_of(request)
    fmt, floats = parse(request.weights), request.activations
    own = _packed.pack(codes, scales, fmt, floats=floats, group=group, rows=tile.rows, words=tile.words)
    tiled = _stretched(own.scales, request)
    assert tiled is not None
    words = torch.empty(own.layout.shape(N, K), dtype=torch.int32)
    return replace(own, words=words, scales=tiled, zeros=_stretched(own.zeros, request), n=N, k=K)


def _packed_8(request: Request) -> Packed8:
    tile, (codes, scales), group = request.tile, _weights(request), group_of(request)
    fmt, arithmetic = parse(request.weights), request.activations
    given: dict[str, Any] = {"group": group, "rows": tile.rows, "words": tile.words}
    own = _packed8.pack(codes, scales, fmt, ACTIVATIONS_8[arithmetic], arithmetic=arithmetic, **given)
    tiled = _stretched(own.scales, request)
    assert tiled is not None
    words = _packed8.ordered(torch.empty(own.layout.shape(N, K), dtype=torch.int32), own.own)
    zeros, offsets = _stretched(own.zeros, request), _stretched(own.offsets, request)
    return replace(own, words=words, scales=tiled, zeros=zeros, offsets=offsets, n=N, k=K)


def _weights(request: Request) -> tuple[torch.Tensor, torch.Tensor]:
    """Codes of one output and group, and its scale."""
    scales = torch.ones(1, 1, dtype=torch.float16) if request.grouped else torch.ones(1)
    return torch.zeros(1, group_of(request) or 1, dtype=torch.uint8), scales


def group_of(request: Request) -> int | None:
    """The largest group that the layout takes: in 8 bits a block has whole groups."""
    if not request.grouped:
        return None
    tile = request.tile
    block = layout_of(parse(request.weights), request.activations, tile.rows, tile.words).block
    return max(group for group in GROUPS if request.kernel != "a8" or block % group == 0)


def _stretched(own: torch.Tensor | None, request: Request) -> torch.Tensor | None:
    """What there is one of for each group, or channel, of all weights."""
    return None if own is None else torch.empty(K // (group_of(request) or K), N, dtype=own.dtype)


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path(str(files("hwdse.cost_models") / "data" / compiled.FILE))
    parser.add_argument("--out", type=Path, default=default)
    parser.add_argument("--only", nargs="*", default=[], choices=sorted({one.kernel for one in CAMPAIGNS}))
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args(arguments)
    old = compiled.parse(options.out.read_text(encoding="utf-8")) if options.only and options.out.exists() else ()
    kept = [row for row in old if row.kernel not in options.only]
    with ProcessPoolExecutor(options.workers) as pool:
        made = list(pool.map(make, requests(options.only)))
    wanted = [row for row in made if useful(row)]
    options.out.write_text(compiled.write([*kept, *wanted]), encoding="utf-8")
    print(f"{len(wanted)} rows made, {len(kept)} kept; {len(made) - len(wanted)} spill or fit no GPU")


if __name__ == "__main__":
    main()
