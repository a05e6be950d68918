"""What compiled kernels take of a multiprocessor: the rows of `cost_models/data/kernels.csv`.

Each row is one kernel as Triton compiles it for one format, tile and architecture, read by `hwdse.machine_code`. It
was made without a GPU by `python -m hwdse.kernels._table`; a test compiles some rows again. It says which Triton made
it, for those that ship the one that `make setup` installs. Another version makes other code of the same kernel: a tile
that spills with one need not with the other, and the price of a choice is that of the code of the table.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from io import StringIO

from hwdse.decode_steps import manner
from hwdse.formats import Format
from hwdse.formats import parse as parse_format
from hwdse.gemm import Tile
from hwdse.machine_code import Counts
from hwdse.target import GpuTarget

FILE = "kernels.csv"
# Registers of a multiprocessor, in the portions that a warp gets; the most warps, and programs, that it runs at once.
# Source: CUDA Programming Guide 13, table of compute capabilities.
REGISTERS, PORTION = 65536, 256
MOST_WARPS = {80: 64, 89: 48, 90: 64, 100: 64}
MOST_PROGRAMS = {80: 32, 89: 24, 90: 32, 100: 32}
RESERVED = 1024  # bytes of shared memory that each program costs besides its own


@dataclass(frozen=True, slots=True)
class Compiled:
    """One kernel for one format, tile and architecture."""

    kernel: str  # a file in `kernels/`
    weights: str  # the format that it was compiled for: it stands for all that decode alike
    activations: str  # float16, bfloat16, int8 or fp8
    grouped: bool  # whether weights have a scale for each group of inputs
    tile: Tile  # its `split` is 1: it does not change the code
    architecture: int
    registers: int  # of a thread
    shared_bytes: int  # of a program
    inputs: int  # that a turn of the loop takes
    loop: Counts  # of a warp, in a turn
    outside: int  # instructions of a warp outside the loop
    triton: str  # version

    def occupancy(self, target: GpuTarget) -> int:
        """Programs that a multiprocessor of `target` runs at once; 0 where not even one fits."""
        of_a_warp = -(-self.registers * 32 // PORTION) * PORTION
        fits = self.shared_bytes <= 1024 * target.shared_kib
        return fits * min(
            MOST_PROGRAMS[target.architecture],
            MOST_WARPS[target.architecture] // self.tile.warps,
            REGISTERS // (of_a_warp * self.tile.warps),
            (1024 * target.shared_kib + RESERVED) // (self.shared_bytes + RESERVED),
        )


_COUNTS = tuple(field.name for field in fields(Counts))
COLUMNS = (
    *("kernel", "weights", "activations", "grouped", "tile", "architecture", "registers", "shared_bytes", "inputs"),
    *(*_COUNTS, "outside", "triton"),
)


def write(rows: Iterable[Compiled]) -> str:
    """The table as text, its rows in order."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in sorted(rows, key=_key):
        counts = [getattr(row.loop, name) for name in _COUNTS]
        first = (row.kernel, row.weights, row.activations, "yes" if row.grouped else "no", row.tile.name)
        taken = (row.architecture, row.registers, row.shared_bytes, row.inputs)
        writer.writerow([*first, *taken, *counts, row.outside, row.triton])
    return text.getvalue()


def _key(row: Compiled) -> tuple[str, str, str, bool, str, int]:
    return row.kernel, row.weights, row.activations, row.grouped, row.tile.name, row.architecture


def parse(text: str) -> tuple[Compiled, ...]:
    """The rows of a table; `parse(write(rows))` has the same ones, in order."""
    return tuple(_row(row) for row in csv.DictReader(StringIO(text)))


def _row(row: dict[str, str]) -> Compiled:
    counts = Counts(**{name: int(row[name]) for name in _COUNTS})
    architecture, registers, shared_bytes, inputs = (
        int(row[name]) for name in ("architecture", "registers", "shared_bytes", "inputs")
    )
    return Compiled(
        row["kernel"],
        row["weights"],
        row["activations"],
        row["grouped"] == "yes",
        Tile.parse(row["tile"]),
        architecture,
        registers,
        shared_bytes,
        inputs,
        counts,
        int(row["outside"]),
        row["triton"],
    )


@cache
def table() -> tuple[Compiled, ...]:
    """The rows that ship."""
    return parse((files("hwdse.cost_models") / "data" / FILE).read_text(encoding="utf-8"))


# ---- which row stands for a format ---------------------------------------------------------------


@cache
def of(kernel: str, fmt: Format, arithmetic: str, grouped: bool, architecture: int) -> tuple[Compiled, ...]:
    """The rows of `kernel` that stand for `fmt`, one for each tile; none where it was not compiled for such a format.

    Of the formats of its width that decode by its rule, or of all where there is none, it is the one whose steps are
    nearest, and of equals the first. Where none was compiled with groups, those without stand for them: a scale is a
    small part of what a group takes.
    """
    own, wanted = manner(fmt, arithmetic), (kernel, arithmetic, architecture)
    rows = [row for row in table() if (row.kernel, row.activations, row.architecture) == wanted]
    rows = [row for row in rows if row.grouped is grouped] or [row for row in rows if not row.grouped]
    manners = {row.weights: manner(parse_format(row.weights), arithmetic) for row in rows}
    wide = {name: one for name, one in manners.items() if one.bits == own.bits}
    alike = {name: one for name, one in wide.items() if one.rule == own.rule} or wide
    if not alike:
        return ()
    nearest = min(alike, key=lambda name: (abs(alike[name].steps - own.steps), name))
    return tuple(row for row in rows if row.weights == nearest)
