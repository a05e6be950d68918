"""What `hwdse build --flow finn` and `hwdse verify` print of a build: every node, and what was done."""

from pathlib import Path

from hwdse import finn_fit, tables
from hwdse.finn import builder
from hwdse.finn.messages import Priced
from hwdse.finn_folder import WITHOUT_VIVADO, Delivered

COLUMNS = ("node", "layer", "PE", "SIMD", "cycles", "LUT", "BRAM18", "URAM", "DSP")


def summary(of: Delivered, out: Path, images: int) -> tables.Table:
    """Of a build that was delivered as `out`; `images`: those that FINN has verified."""
    said = (
        finn_fit.other_device(of.board.part, of.device),
        finn_fit.fit(of.board.part, of.priced),
        finn_fit.pace(of.clock_mhz, of.priced, of.asked),
        f"FINN's estimates; the folding: {of.folded}. Done without a tool of AMD: {images} images verified by FINN "
        f"after {', '.join(WITHOUT_VIVADO)}; its builder's estimates of this folder are these, node by node.",
        "What remains is all that makes hardware, with Vivado and Vitis HLS: "
        f"sh {out / builder.RUN}, then hwdse import {out}",
    )
    title = f"trial {of.trial} of {of.study} for FINN on {of.board.name} ({of.board.part}): {out}"
    return tables.of(title, COLUMNS, _rows(of.priced), "\n".join(one for one in said if one))


def again(folder: Path, priced: Priced, images: int) -> tables.Table:
    """Of a build that was verified once more, with as many images."""
    note = f"FINN verified {images} images again, and its estimates are those of the manifest, node by node"
    return tables.of(f"{folder} is the build of its design", COLUMNS, _rows(priced), note)


def _rows(priced: Priced) -> list[tuple[tables.Cell, ...]]:
    """Every node, and all together."""
    rows: list[tuple[tables.Cell, ...]] = [
        (
            *(unit.folded.node, unit.layer, unit.folded.pe, unit.folded.simd),
            *(unit.cycles, unit.luts, unit.bram18s, unit.urams, unit.dsps),
        )
        for unit in priced.units
    ]
    sums = (sum(getattr(unit, key) for unit in priced.units) for key in ("luts", "bram18s", "urams", "dsps"))
    return [*rows, ("total", None, None, None, priced.interval_cycles, *sums)]
