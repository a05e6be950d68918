"""What `hwdse fold RUN DESIGN --rules finn` does: the best folding of FINN's nodes as a table, and as FINN's file."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path

from hwdse import run as runs
from hwdse import study, tables
from hwdse.cost_models.finn import FAMILIES
from hwdse.finn import Environment, FinnError, estimates
from hwdse.finn.estimates import Wish as FinnWish
from hwdse.finn.messages import Estimated, Priced, Unit
from hwdse.finn.process import Worker
from hwdse.finn_estimate import estimate
from hwdse.finn_foldings import file, variants, without_finn
from hwdse.finn_foldings.choice import NAMES, Objective, fastest, shares, smallest, space, taken
from hwdse.finn_foldings.choice import Space as FinnSpace
from hwdse.finn_foldings.choice import front as whole_front
from hwdse.finn_foldings.limits import RESOURCES, Limits
from hwdse.finn_nodes import Dsp
from hwdse.fold_command import cycles_of, shares_of
from hwdse.pricing import Asked
from hwdse.target import FpgaTarget, fpga

READ = "FINN has read the folding file, and its estimates are these."
UNREAD = (
    "The front is priced by our formulas of FINN's estimates, for the nodes that FINN made; FINN reads back one "
    "folding that is written."
)
DERIVED = (
    "FINN was not asked: sums and thresholds are as wide as their formats allow, where it takes the width from weights."
)


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked of a folding by FINN's rules."""

    objective: Objective
    frames_per_second: float | None  # None: as many as fit
    clock_mhz: float | None  # None: that of the run
    limits: Limits


def limits(texts: tuple[str, ...], weight_bits: int | None) -> Limits:
    """The limits written as `lut=0.8` and as bits of a PE; FINN's own of those where none are given."""
    lut, bram, uram, dsp = shares_of(texts, RESOURCES)
    return Limits(lut, bram, uram, dsp) if weight_bits is None else Limits(lut, bram, uram, dsp, weight_bits)


def check(options: Sequence[str]) -> None:
    """ValueError where options are given that FINN's rules have no meaning for."""
    if options:
        raise ValueError(f"FINN has its own formulas and streams, so that --rules finn goes without {options[0]}")


def fold_network(what: Asked, clock_mhz: float, wish: Wish, out: Path | None, *, front: bool) -> tables.Table:
    """The best folding of a network with given formats, of the nodes that FINN would make; FINN is not asked."""
    if out is not None:
        raise ValueError("FINN's file has the names of FINN's nodes, so that --out is for a design of a run")
    _check_front(wish, front=front)
    clock = clock_mhz if wish.clock_mhz is None else wish.clock_mhz
    cycles = cycles_of(wish.frames_per_second, clock)
    _check_device(what.target)
    found = without_finn.units(what.workload, what.design, Dsp(what.target.dsp.upper()))
    whole = space(found, what.target, wish.limits)
    if front:
        return _front(whole, wish, clock, what.workload.name, DERIVED)
    return _table(_best(whole, wish, cycles), whole, wish, clock, what.workload.name, DERIVED)


def fold(run: Path, name: str, device: str | None, wish: Wish, out: Path | None, *, front: bool) -> tables.Table:
    """The best folding of a design of a run, node by node, also written to `out` where that is given; or the front."""
    if front and out is not None:
        raise ValueError("--out is for one design, so that it goes without --front")
    if out is not None and not out.parent.is_dir():
        raise ValueError(f"no folder {str(out.parent)!r} to write {out.name!r} into")
    _check_front(wish, front=front)
    part = study.load(run / "study.toml")
    target = part.on_fpga.fpga if device is None else fpga(device)
    _check_device(target)
    clock = part.on_fpga.clock_mhz if wish.clock_mhz is None else wish.clock_mhz
    cycles = cycles_of(wish.frames_per_second, clock)
    result = runs.load(run)
    design = runs.pick(result, name).evaluation.design
    with Worker(Environment.default()) as worker:
        bench, data = runs.bench_and_data(part)
        print("FINN+ takes the network through its steps", file=sys.stderr, flush=True)
        asked = FinnWish(target.part, clock, frames_per_second=1)
        found = estimate(worker, bench, design, asked, data.test).estimated
        whole = space(found.priced.units, target, wish.limits)
        if front:
            return _front(whole, wish, clock, result.workload.name, UNREAD)
        best = _best(whole, wish, cycles)
        text = _checked(worker, found, target, best)
    if out is not None:
        out.write_text(text, encoding="utf-8")
    return _table(best, whole, wish, clock, f"{result.workload.name} as design {design.digest}", READ)


def _check_front(wish: Wish, *, front: bool) -> None:
    if front and wish.frames_per_second is not None:
        raise ValueError("a front has all rates, so that --front goes without --fps")


def _check_device(target: FpgaTarget) -> None:
    if target.family not in FAMILIES:
        raise ValueError(f"FINN is for devices of AMD, unlike {target.name}")


def _best(of: FinnSpace, wish: Wish, cycles: int | None) -> Priced:
    """The smallest with at most `cycles` between frames, or the fastest."""
    return fastest(of, wish.objective) if cycles is None else smallest(of, cycles, wish.objective)


def _checked(worker: Worker, found: Estimated, target: FpgaTarget, best: Priced) -> str:
    """The folding file of `best`, which FINN has read and priced."""
    place = worker.folder / "folding_config.json"
    place.write_text(text := file.text(best), encoding="utf-8")
    if estimates.fold_as(worker, found, target.part, place) != best:
        raise FinnError("FINN+ prices the folding file otherwise than the formulas that it was chosen by")
    return text


def _table(best: Priced, of: FinnSpace, wish: Wish, clock: float, what: str, whence: str) -> tables.Table:
    columns = ("node", "layer", "PE", "SIMD", "cycles", *NAMES, "settings")
    total = ("total", None, None, None, best.interval_cycles, *taken(best), None)
    rows = [*map(_row, best.units), total]
    share, rate = shares(taken(best), of.target), clock * 1e6 / best.interval_cycles
    note = (
        f"On {of.target.name} at {clock:g} MHz: {rate:,.0f} frames/s, {100 * share:.1f} % of the device, the shares of "
        f"all resources added. {_proof(wish.objective)} {whence}"
    )
    facts = (*_facts(wish, clock), ("frames_per_second", rate), ("shares", share))
    return tables.of(f"{what} folded by FINN's rules", columns, rows, note, facts)


def _row(unit: Unit) -> tuple[tables.Cell, ...]:
    said = {} if unit.node is None else variants.settings(unit.node)
    area = unit.cycles, unit.luts, unit.bram18s, unit.urams, unit.dsps
    text = ", ".join(f"{name}={value}" for name, value in said.items())
    return unit.folded.node, unit.layer, unit.folded.pe, unit.folded.simd, *area, text or None


def _front(of: FinnSpace, wish: Wish, clock: float, network: str, whence: str) -> tables.Table:
    """Every design that none is faster than and no worse, slowest first."""
    found = whole_front(of, wish.objective) or (smallest(of, of.intervals[-1], wish.objective),)  # says why none is
    rows = [
        (one.interval_cycles, clock * 1e6 / one.interval_cycles, shares(taken(one), of.target), *taken(one))
        for one in found
    ]
    note = f"On {of.target.name} at {clock:g} MHz. {_proof(wish.objective)} {whence}"
    columns = ("cycles", "frames_per_second", "shares", *NAMES)
    return tables.of(f"Front of {network} by FINN's rules", columns, rows, note, _facts(wish, clock))


def _proof(objective: Objective) -> str:
    what = {"shares": "less of the device", "utilization": "a smaller share of what is scarcest"}
    less = what.get(objective, f"fewer {objective.upper()}, or as many and less of the device")
    return (
        "Of all foldings (PE, SIMD, window generators at once) and settings of memories and multipliers that FINN's "
        "estimates trade, with depthwise nodes coupled as FINN's own SetFolding couples them, proven: none that is as "
        f"fast and within the limits takes {less} by FINN's estimates."
    )


def _facts(wish: Wish, clock: float) -> tuple[tuple[str, tables.Cell], ...]:
    limited = [(f"limit_{name}", getattr(wish.limits, name)) for name in (*RESOURCES, "weight_bits")]
    bounds = [(name, None if value == inf else value) for name, value in limited]
    return (("rules", "finn"), ("objective", wish.objective), ("clock_mhz", clock), *bounds)
