"""What `hwdse fold` does: the best folding of a network as a table, the design as a file."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite
from pathlib import Path

from hwdse import run as runs
from hwdse import study, tables
from hwdse.commands import facts_of, summary_of
from hwdse.cost import FpgaCost, LayerCost
from hwdse.cost_models.dataflow import Dataflow
from hwdse.design import Design, Quantizer
from hwdse.foldings.choice import Folded, Objective, Space, fastest, smallest, space
from hwdse.foldings.choice import front as whole_front
from hwdse.foldings.limits import RESOURCES, Limits
from hwdse.memory import utilization
from hwdse.pricing import Asked, Question, asked, read_design
from hwdse.target import fpga

BITS = ("weight_bits", "stream_bits")


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked of a folding."""

    objective: Objective
    frames_per_second: float | None  # None: as many as fit
    clock_mhz: float
    limits: Limits

    def __post_init__(self) -> None:
        cycles_of(self.frames_per_second, self.clock_mhz)

    @property
    def cycles(self) -> int | None:
        """Between two frames."""
        return cycles_of(self.frames_per_second, self.clock_mhz)


def cycles_of(frames_per_second: float | None, clock_mhz: float) -> int | None:
    """Between two frames; None where no rate is asked for."""
    for name, value in (("frames per second", frames_per_second), ("MHz", clock_mhz)):
        if value is not None and not (isfinite(value) and value > 0):
            raise ValueError(f"a rate is positive and finite, not {value:g} {name}")
    return None if frames_per_second is None else _most_cycles(frames_per_second, clock_mhz * 1e6)


def _most_cycles(frames_per_second: float, clock_hz: float) -> int:
    """The most whose rate, as it is printed, is at least the one asked for."""
    cycles = clock_hz / frames_per_second
    if not isfinite(cycles):
        raise ValueError(f"a rate of {frames_per_second:g} frames per second takes more cycles than can be counted")
    near = int(cycles)  # a quotient is rounded, and may be one off
    fast = (count for count in (near + 1, near) if count and clock_hz / count >= frames_per_second)
    return next(fast, max(near - 1, 0))


def limits(shares: tuple[str, ...], weight_bits: int | None, stream_bits: int | None) -> Limits:
    """The limits written as `lut=0.8` and as bits."""
    lut, ff, dsp, bram, uram = shares_of(shares, RESOURCES)
    return Limits(lut, ff, dsp, bram, uram, weight_bits, stream_bits)


def shares_of(texts: tuple[str, ...], known: tuple[str, ...]) -> tuple[float, ...]:
    """The share of each of the `known` resources: as is written, or all of it."""
    found = dict[str, float]()
    for text in texts:
        name, _, share = text.partition("=")
        if name not in known:
            raise ValueError(f"no limit {name!r}; known: {', '.join(known)}")
        if name in found:
            raise ValueError(f"a resource has one limit, not {name} twice")
        try:
            found[name] = float(share)
        except ValueError:
            raise ValueError(f"a limit is written RESOURCE=SHARE, e.g. lut=0.8, not {text!r}") from None
    return tuple(found.get(name, 1.0) for name in known)


Quantizers = Design | tuple[Quantizer, Quantizer]


def read(file: Path | None, weights: str | None, activations: str | None) -> Quantizers:
    """The quantisers in a design file, or one for all weights and one for all activations."""
    if file is None:
        return Quantizer.parse(weights or "int8:channel"), Quantizer.parse(activations or "int8")
    if weights is not None or activations is not None:
        raise ValueError("a design has its own quantizers, so that --design goes without --weights and --activations")
    return read_design(file)


def of_network(
    model: str, device: str | None, shape: str | None, formats: Quantizers, settings: dict[str, str], *, hardware: bool
) -> tuple[Asked, float]:
    """What is folded, and the clock in MHz where none is given."""
    if device is None:
        raise ValueError("a network is folded for a device; give --device, see `hwdse devices`")
    question = Question(model, device, shape=shape, hardware=hardware)
    return asked(question, formats, **settings), question.clock_mhz


def of_run(path: Path, design: str, device: str | None) -> tuple[Asked, float]:
    """The same of a design of a run, on the run's device unless another is named, and with the run's clock."""
    result, target = runs.load(path), study.load(path / "study.toml").on_fpga
    chosen = runs.pick(result, design).evaluation.design
    return Asked(
        result.workload, chosen, target.fpga if device is None else fpga(device), target.model
    ), target.clock_mhz


RULES = ("own", "finn")


def by_finn(rules: str) -> bool:
    """Whether FINN's rules are meant."""
    if rules not in RULES:
        raise ValueError(f"rules are {' or '.join(RULES)}, not {rules!r}")
    return rules == "finn"


def alone(options: Sequence[str]) -> None:
    """ValueError where options are given that a run says itself."""
    if options:
        raise ValueError(f"a run has its own network, formats and cost model, so that it goes without {options[0]}")


def fold(what: Asked, wish: Wish, out: Path | None, *, front: bool) -> tables.Table:
    """The best design, layer by layer, also written to `out` where that is given; or the front."""
    if front and out is not None:
        raise ValueError("--out is for one design, so that it goes without --front")
    if front and wish.cycles is not None:
        raise ValueError("a front has all rates, so that --front goes without --fps")
    of = _space(what, wish)
    return _front(of, wish) if front else _one(of, wish, out)


def _one(of: Space, wish: Wish, out: Path | None) -> tables.Table:
    found = fastest(of, wish.objective) if wish.cycles is None else smallest(of, wish.cycles, wish.objective)
    if out is not None:
        out.write_text(found.design.text, encoding="utf-8")
    return _table(of, found, wish)


def _front(of: Space, wish: Wish) -> tables.Table:
    """Every design that none is faster than and no worse, slowest first, up to the fastest within the limits."""
    found = whole_front(of, wish.objective) or (smallest(of, of.intervals[-1], wish.objective),)  # says why none is
    bram = f"BRAM{of.target.bram_kib}"
    share = tables.Column("utilization", "utilization", _percent)
    columns = ("cycles", "frames_per_second", share, "LUT", "FF", "DSP", bram, "digest")
    rows = [(*_point(one, of, wish), one.design.digest) for one in found]
    note = f"On {of.target.name} at {wish.clock_mhz:g} MHz. {_proof(wish.objective)} Predicted, {_trust(of)}"
    return tables.of(f"Front of {of.workload.name} over all legal foldings", columns, rows, note, _facts(wish))


def _space(what: Asked, wish: Wish) -> Space:
    if not isinstance(what.model, Dataflow):
        raise ValueError(f"cost model {what.model.name!r} offers nothing to choose from; use dataflow")
    return space(what.workload, what.design, what.target, what.model, wish.limits)


def _trust(of: Space) -> str:
    return of.model.calibration(of.target)


def _point(one: Folded, of: Space, wish: Wish) -> tuple[tables.Cell, ...]:
    rate, area = wish.clock_mhz * 1e6 / one.interval_cycles, one.area
    share = utilization(area, of.target)
    return one.interval_cycles, rate, share, area.luts, area.ffs, area.dsps, area.brams


def _table(of: Space, found: Folded, wish: Wish) -> tables.Table:
    cost = of.cost(found, wish.clock_mhz)
    bram = f"BRAM{of.target.bram_kib}"
    columns = ("layer", "folding", "cycles", "LUT", "FF", "DSP", bram, "made of")
    rows = [_row(layer, found.design) for layer in cost.layers]
    area = cost.area
    rows.append(("total", None, cost.interval_cycles, area.luts, area.ffs, area.dsps, area.brams, None))
    note = f"{_proof(wish.objective)} {_beside(of, found, cost, wish)}\n{summary_of(cost)}"
    title = f"{of.workload.name} folded, as design {found.design.digest}"
    facts = (*_facts(wish), ("utilization", utilization(area, of.target)), *facts_of(cost))
    return tables.of(title, columns, rows, note, facts)


def _row(layer: LayerCost, design: Design) -> tuple[tables.Cell, ...]:
    made = "; ".join(f"{term.name}: {term.variant}" for term in layer.terms if term.variant)
    area = layer.area
    counts = (layer.cycles, area.luts, area.ffs, area.dsps, area.brams)
    return (layer.layer, dict(design.folding)[layer.layer].name, *counts, made or None)


def _proof(objective: Objective) -> str:
    what = (
        "less of the device"
        if objective == "utilization"
        else f"fewer {objective.upper()}, or as many and less of the device"
    )
    return f"Of all legal foldings, proven: none that is as fast and within the limits takes {what}."


def _beside(of: Space, found: Folded, cost: FpgaCost, wish: Wish) -> str:
    """What `hwdse cost` says of the same folding, where that differs."""
    own = of.model.cost(of.workload, found.design, of.target, wish.clock_mhz)
    shares = [utilization(one.area, of.target) for one in (own, cost)]
    if (shares[0], own.area.luts) == (shares[1], cost.area.luts):
        return "`hwdse cost` gives this design the same LUTs and utilization."
    return (
        f"`hwdse cost` makes the parts of this folding for the smallest utilization: {own.area.luts:,} LUT and "
        f"{100 * shares[0]:.1f} % instead of {cost.area.luts:,} and {100 * shares[1]:.1f} %."
    )


def _facts(wish: Wish) -> tuple[tuple[str, tables.Cell], ...]:
    limited = ((f"limit_{name}", getattr(wish.limits, name)) for name in (*RESOURCES, *BITS))
    return (("objective", wish.objective), *((name, None if value == inf else value) for name, value in limited))


def _percent(cell: tables.Cell) -> str:
    assert isinstance(cell, int | float)
    return f"{100 * cell:.1f} %"
