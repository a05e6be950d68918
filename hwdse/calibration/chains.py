"""Whole layers as chains of units, placed and simulated together: does a sum of unit prices hold?

Shapes of window, matrix-vector unit, thresholds and queue. What was measured is a table of its own, beside which
the cost model's prediction is put when a page is made.
"""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from hashlib import blake2b
from io import StringIO
from math import prod
from pathlib import Path
from random import Random

from hwdse import placement, terms
from hwdse.accelerator import Choice, Element, Quantised, elements
from hwdse.beats import pack
from hwdse.build import BuildError, run_all
from hwdse.calibration.campaign import write
from hwdse.contents import unit
from hwdse.cost import Clock, Resources
from hwdse.design import Folding, Quantizer
from hwdse.flow import Flow
from hwdse.folding import cycles
from hwdse.formats import parse
from hwdse.netlist import Netlist, rtl_digest
from hwdse.simulation import build
from hwdse.target import FpgaTarget
from hwdse.workload import Kind, Layer

FRAMES = 4  # that are simulated: the time between the last two is the interval


@dataclass(frozen=True, slots=True)
class Shape:
    """A convolution with its formats and its folding."""

    name: str
    channels: tuple[int, int]  # in, out
    size: int  # of the image, in both directions
    weight: str
    activation: str
    output: str
    folding: Folding
    kernel: int = 3
    stride: int = 1
    padding: int = 1
    depthwise: bool = False
    dsp: bool = False
    parallel: bool = False  # all thresholds compared at once

    def quantised(self, target: FpgaTarget) -> Quantised:
        """The layer on `target`."""
        out = (self.size + 2 * self.padding - self.kernel) // self.stride + 1
        inputs, outputs = self.channels
        layer = Layer(
            *(self.name, Kind.CONV, ("in",), ("out",), outputs),
            dot=self.kernel**2 * (1 if self.depthwise else inputs),
            positions=out * out,
            in_shape=(inputs, self.size, self.size),
            out_shape=(outputs, out, out),
            kernel=(self.kernel, self.kernel),
            stride=(self.stride, self.stride),
            padding=(self.padding, self.padding),
            groups=inputs if self.depthwise else 1,
            bias=True,
        )
        quantizers = (Quantizer(parse(self.activation)), Quantizer(parse(self.weight), "channel"))
        return Quantised(layer, quantizers, (Quantizer(parse(self.output)),), self.folding, target)

    def elements(self, target: FpgaTarget) -> tuple[Element, ...]:
        """Its units, in their order."""
        choice = Choice("dsp" if self.dsp else "shift", parallel_thresholds=self.parallel)
        return elements(self.quantised(target), choice)


SHAPES = (
    Shape("int4, serial window", (8, 16), 8, "int4", "uint4", "uint4", Folding(4, 4)),
    Shape("int8, serial window", (4, 8), 12, "int8", "uint8", "uint8", Folding(2, 4)),
    Shape("int3, all taps at once", (4, 8), 12, "int3", "uint3", "uint3", Folding(2, 36), parallel=True),
    Shape("int3, all taps at once, 32 outputs", (4, 32), 12, "int3", "uint3", "uint3", Folding(2, 36), parallel=True),
    Shape("e2m1, serial window", (8, 16), 8, "e2m1", "ue2m2", "ue2m2", Folding(4, 8)),
    Shape("e3m2, stride 2", (8, 8), 12, "e3m2", "ue3m3", "ue3m3", Folding(2, 8), stride=2),
    Shape("e4m3, serial window", (4, 8), 8, "e4m3", "ue4m4", "ue4m4", Folding(1, 4)),
    Shape("int4 x ue3m3, no padding", (8, 16), 12, "int4", "ue3m3", "uint6", Folding(4, 4), padding=0),
    Shape("int6, depthwise", (8, 8), 12, "int6", "uint6", "uint6", Folding(4, 1), depthwise=True),
    Shape("int8 in DSPs, 5 x 5", (4, 8), 12, "int8", "uint8", "uint8", Folding(2, 4), kernel=5, padding=2, dsp=True),
)


def shapes(target: FpgaTarget) -> tuple[Shape, ...]:
    """Those that `target` can have."""
    return tuple(shape for shape in SHAPES if target.dsps or not shape.dsp)


@dataclass(frozen=True, slots=True)
class Chain:
    """What a chain takes, placed, and how often it gives a frame, simulated."""

    name: str
    device: str
    luts: int
    ffs: int
    dsps: int
    brams: int
    mhz: float
    cycles: int  # between two frames
    rtl: str  # `digest`: of its units


@dataclass(frozen=True, slots=True)
class Predicted:
    """What the cost model says of a chain: the sum of its units, and the slowest path of them all."""

    area: Resources
    clock: Clock | None
    cycles: int


def predict(shape: Shape, target: FpgaTarget) -> Predicted:
    """The sum of the prices of the chain's units, as placed where that is known."""
    elements_ = shape.elements(target)
    areas = [terms.area(element, target.family, placed=True)[0] for element in elements_]
    area = sum(areas, Resources(round(placement.once(target.family))))
    clock = placement.clock([terms.timing(element, target) for element in elements_], target, area.luts + area.ffs)
    return Predicted(area, clock, cycles(shape.quantised(target).layer, shape.folding))


def measure(
    shapes: Sequence[Shape], flow: Flow, target: FpgaTarget, table: Path, cache: Path, workers: int
) -> tuple[Chain, ...]:
    """Places and simulates `shapes`, writes `table` and gives its rows; BuildError where a run fails."""
    netlists = {shape: _netlist(shape, target) for shape in shapes}
    plans = {shape: flow.plan(netlist, target) for shape, netlist in netlists.items()}
    owners = {plan.digest: shape for shape, plan in plans.items()}
    rows = list[Chain]()
    for plan, outcome in run_all(list(plans.values()), cache, flow.programs(), workers):
        if isinstance(outcome, BuildError):
            raise outcome
        shape, found = owners[plan.digest], flow.read(outcome)
        area, mhz = found.area, found.mhz
        if mhz is None:
            raise ValueError(f"a chain has a clock, unlike {shape.name!r} on {target.name!r}")
        interval = simulated_cycles(shape, target, cache)
        counts = (area.luts, area.ffs, area.dsps, area.brams, round(mhz, 2), interval)
        rows.append(Chain(shape.name, target.name, *counts, digest(shape, target)))
    write(table, text(rows))
    return tuple(sorted(rows, key=lambda row: row.name))


def tools(shape: Shape, flow: Flow, target: FpgaTarget) -> tuple[tuple[str, str], ...]:
    """The tools with their versions that measure a chain, but for Verilator, whose cycles are those of the RTL."""
    return flow.plan(_netlist(shape, target), target).tools


def _netlist(shape: Shape, target: FpgaTarget) -> Netlist:
    return Netlist.chain(*(unit(element) for element in shape.elements(target)))


def simulated_cycles(shape: Shape, target: FpgaTarget, cache: Path) -> int:
    """Cycles between the last beats of two frames in Verilator, with both ends at full speed."""
    netlist, layer = _netlist(shape, target), shape.quantised(target).layer
    (stream,), (out,) = netlist.inputs, netlist.outputs
    beats = FRAMES * prod(layer.in_shape) * parse(shape.activation).bits // stream.bits
    wanted = FRAMES * prod(layer.out_shape) * parse(shape.output).bits // out.bits
    random = Random(shape.name)
    numbers = [[random.getrandbits(stream.bits)] for _ in range(beats)]
    done = build(netlist, cache).run({stream.name: pack(numbers, stream.bits)}, outputs={out.name: wanted})
    lasts = done.cycles[out.name].reshape(FRAMES, -1)[:, -1]
    return int(lasts[-1] - lasts[-2])


def digest(shape: Shape, target: FpgaTarget) -> str:
    """Names the units of a chain and their RTL."""
    parts = [
        f"{element.module} {element.parameters} {rtl_digest(element.module)}" for element in shape.elements(target)
    ]
    return blake2b(" ".join(parts).encode(), digest_size=8).hexdigest()


def text(rows: Iterable[Chain]) -> str:
    """The table of `rows`, by name."""
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([field.name for field in fields(Chain)])
    writer.writerows(astuple(row) for row in sorted(rows, key=lambda row: row.name))
    return out.getvalue()


def read(table: Path) -> tuple[Chain, ...]:
    """The rows of a table; ValueError where it is none."""
    with table.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    try:
        return tuple(_row(row) for row in rows)
    except (KeyError, ValueError) as error:
        raise ValueError(f"{table} is no table of chains: {type(error).__name__}: {error}") from None


def _row(row: dict[str, str]) -> Chain:
    luts, ffs, dsps, brams, cycles_ = (int(row[key]) for key in ("luts", "ffs", "dsps", "brams", "cycles"))
    return Chain(row["name"], row["device"], luts, ffs, dsps, brams, float(row["mhz"]), cycles_, row["rtl"])
