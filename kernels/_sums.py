"""What a product writes: its sums, and the memory in which programs that share an output meet.

A kernel is told addresses alone. So what lies there is checked before, and each mistake has its sentence.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from hwdse.gemm import Tile
from hwdse.kernels._packed import Packed
from hwdse.kernels._packed8 import Packed8

COLUMNS = (8, 16, 32, 64, 128, 256)  # of a tile
OUTPUTS = (torch.float16, torch.bfloat16, torch.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Workspace:
    """Where programs that share an output meet; between products all of `arrived` is 0. One stream at a time."""

    partial: Tensor  # float32
    arrived: Tensor  # int32

    @classmethod
    def of(cls, m: int, packed: Packed | Packed8, tile: Tile) -> "Workspace":
        """As much as a product of `m` vectors needs."""
        size, places = _room(m, packed, tile)
        device = packed.words.device
        return cls(
            torch.empty(size, dtype=torch.float32, device=device),
            torch.zeros(places, dtype=torch.int32, device=device),
        )


def _room(m: int, packed: Packed | Packed8, tile: Tile) -> tuple[int, int]:
    """Numbers of `partial` and of `arrived`."""
    places = packed.words.shape[0] * -(-m // tile.columns) if tile.split > 1 else 0
    return tile.split * places * tile.rows * tile.columns, places


def workspace(own: Workspace | None, m: int, packed: Packed | Packed8, tile: Tile) -> Workspace:
    """`own`, or a new one; ValueError where it is none for `m` vectors."""
    if own is None:
        return Workspace.of(m, packed, tile)
    size, places = _room(m, packed, tile)
    partial, arrived = own.partial, own.arrived
    if partial.dtype != torch.float32 or arrived.dtype != torch.int32 or len(partial) < size or len(arrived) < places:
        raise ValueError(
            f"programs of this product meet in {size} float32 and {places} int32 numbers,"
            f" not in {len(partial)} {_name(partial)} and {len(arrived)} {_name(arrived)}"
        )
    if size:
        near("the workspace", packed, partial, arrived)
    return own


def takes(packed: Packed | Packed8, tile: Tile) -> None:
    """ValueError where `tile` is none for `packed`."""
    layout = packed.layout
    if (tile.rows, tile.words) != (layout.rows, layout.words):
        raise ValueError(
            f"weights are packed for tiles of {layout.rows} rows and {layout.words} words,"
            f" not for {tile.rows} and {tile.words}: those of {tile.name}"
        )


def wide(tile: Tile) -> None:
    """ValueError where tensor cores do not multiply so many vectors at once."""
    if tile.columns not in COLUMNS:
        near = min(COLUMNS, key=lambda size: (abs(size - tile.columns), size))
        known = ", ".join(map(str, COLUMNS))
        raise ValueError(f"a tile has {known} columns, not {tile.columns}; the nearest is {near}")


def result(m: int, packed: Packed | Packed8, out: Tensor | None, dtype: torch.dtype) -> Tensor:
    """Where sums are to be written: `out`, or a new tensor; ValueError where it is none for `m x n` sums."""
    shape = m, packed.n
    if out is None:
        return torch.empty(shape, dtype=dtype, device=packed.words.device)
    if out.shape != shape or not out.is_contiguous() or out.dtype not in OUTPUTS:
        raise ValueError(
            f"sums are dense float16, bfloat16 or float32 of shape {shape},"
            f" not {_name(out)} of {tuple(out.shape)} and strides {out.stride()}"
        )
    near("the sums", packed, out)
    return out


def vectors(codes: Tensor, scales: Tensor, dtype: torch.dtype) -> None:
    """ValueError where they are not vectors of `dtype`, each with its scale."""
    m = len(codes)
    if codes.dim() != 2 or codes.dtype != dtype or codes.stride(1) != 1:
        name = str(dtype).removeprefix("torch.")
        raise ValueError(
            f"these weights multiply dense vectors of {name},"
            f" not {_name(codes)} of {tuple(codes.shape)} and strides {codes.stride()}"
        )
    if scales.shape != (m,) or scales.dtype != torch.float32 or not scales.is_contiguous():
        raise ValueError(f"{m} vectors have {m} dense float32 scales, not {_name(scales)} of {tuple(scales.shape)}")


def bias(own: Tensor | None, packed: Packed | Packed8) -> None:
    """ValueError where it is none for the outputs."""
    if own is None:
        return
    if own.shape != (packed.n,) or own.dtype not in OUTPUTS or not own.is_contiguous():
        raise ValueError(
            f"a bias is dense float16, bfloat16 or float32 of shape {(packed.n,)},"
            f" not {_name(own)} of {tuple(own.shape)} and strides {own.stride()}"
        )
    near("the bias", packed, own)


def near(name: str, packed: Packed | Packed8, *own: Tensor | None) -> None:
    """ValueError where something called `name` is not where the weights are."""
    where = packed.words.device
    for one in own:
        if one is not None and one.device != where:
            raise ValueError(
                f"all of a product is on the device of its weights, {where}, unlike {name}, on {one.device}"
            )


def _name(own: Tensor) -> str:
    return str(own.dtype).removeprefix("torch.")
