"""What a design costs on a device, predicted or measured: one type for both, so that an error is a subtraction."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from hwdse.design import Folding
from hwdse.energy import PICO, Energy, FrameEnergy, Stated

# Of a field that came after values had been kept: where one of those lacks it, it has its default (`hwdse.codec`).
LATER = {"later": True}


@dataclass(frozen=True, slots=True)
class Resources:
    """Area. It adds up; `Resources()` is nothing."""

    luts: int = 0  # LUTs used as memory included
    ffs: int = 0
    dsps: int = 0
    brams: int = 0  # blocks of 18 Kib: BRAM18
    urams: int = 0
    lutrams: int = 0  # the part of `luts` that is RAM; a ROM in LUTs is logic

    def __add__(self, other: Self) -> Self:
        return type(self)(  # written out: a search adds millions of these
            self.luts + other.luts,
            self.ffs + other.ffs,
            self.dsps + other.dsps,
            self.brams + other.brams,
            self.urams + other.urams,
            self.lutrams + other.lutrams,
        )


@dataclass(frozen=True, slots=True)
class Term:
    """One physical part of a layer's area: `multipliers`, `adder tree`, `accumulators`, `weights`, ..."""

    name: str
    area: Resources
    low: Resources | None = None  # of a 90 % interval; None: no error is known
    high: Resources | None = None
    variant: str = ""  # what it is made of, where the model had a choice: `DSPs`, `block RAM`


@dataclass(frozen=True, slots=True)
class Clock:
    """The clock that units are predicted to reach, with the bounds in which 90 % of single units were."""

    mhz: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class LayerCost:
    """Area and time of one layer's units."""

    layer: str
    terms: tuple[Term, ...]
    cycles: int  # between two frames
    fill_cycles: int  # through its pipeline: from the end of the work on an output to that output
    folding: Folding | None = None  # of the layers that multiply
    accumulator_bits: int | None = None
    # of its slowest unit; None where no unit was routed on the device
    clock: Clock | None = field(default=None, metadata=LATER)
    energy: Energy | None = field(default=None, metadata=LATER)  # of one frame; None: nothing is said of it

    @property
    def area(self) -> Resources:
        """All terms together."""
        return sum((term.area for term in self.terms), Resources())

    @property
    def bounds(self) -> tuple[Resources, Resources]:
        """The least and the most that the area is, as if the terms' errors had one cause; a term without is as said."""
        low = sum((term.low or term.area for term in self.terms), Resources())
        return low, sum((term.high or term.area for term in self.terms), Resources())


@dataclass(frozen=True, slots=True)
class FpgaCost:
    """Area and time of one network on one device at one clock."""

    layers: tuple[LayerCost, ...]
    interval_cycles: int  # between two frames
    latency_cycles: int  # from the first input of a frame to its last output
    clock_mhz: float
    device: str
    model: str  # the cost model or the flow that says so
    calibration: str  # how far to trust it, in words
    outside: tuple[str, ...] = ()  # layers that are not in the accelerator
    stated: Stated | None = field(default=None, metadata=LATER)  # the model of its energy; None: it has none

    @property
    def area(self) -> Resources:
        """All layers together."""
        return sum((layer.area for layer in self.layers), Resources())

    @property
    def bounds(self) -> tuple[Resources, Resources]:
        """The least and the most that the area is: the layers' bounds added up, as if their errors had one cause."""
        bounds = [layer.bounds for layer in self.layers]
        return sum((low for low, _ in bounds), Resources()), sum((high for _, high in bounds), Resources())

    @property
    def clock(self) -> Clock | None:
        """The predicted clock, which the slowest unit of all sets; None where a layer has none."""
        clocks = [layer.clock for layer in self.layers if layer.clock is not None]
        return min(clocks, key=lambda clock: clock.mhz) if len(clocks) == len(self.layers) else None

    @property
    def frames_per_second(self) -> float:
        """Throughput when frames follow each other."""
        return self.clock_mhz * 1e6 / self.interval_cycles

    @property
    def latency_seconds(self) -> float:
        """Time of one frame alone."""
        return self.latency_cycles / (self.clock_mhz * 1e6)

    @property
    def energy(self) -> FrameEnergy | None:
        """Of one frame when frames follow each other; None where a layer says nothing of it, as a measured one."""
        layers = [layer.energy for layer in self.layers if layer.energy is not None]
        if self.stated is None or len(layers) < len(self.layers):
            return None
        static = self.stated.static_watts
        between = None if static is None else static / PICO / self.frames_per_second
        return FrameEnergy(sum(layers, Energy()), between)

    @property
    def label(self) -> str:
        """What the total leaves out: '' or 'without attn.softmax, norm1'."""
        return f"without {', '.join(self.outside)}" if self.outside else ""


@dataclass(frozen=True, slots=True)
class KernelCost:
    """Time and memory of one layer's product on a GPU."""

    layer: str
    kernel: str  # the name of a `gemm.Choice`
    seconds: float
    bound: str  # what takes the longest: memory, L2, tensor cores, decoding, shared memory, launch
    weight_bytes: int  # packed, with scales and zero points
    moved_bytes: int  # weights, activations and sums
    m: int  # vectors, of `batch` frames
    n: int
    k: int
    low: float | None = None  # seconds, of a 90 % interval; None: no error is known
    high: float | None = None
    padding_bytes: int | None = field(default=None, metadata=LATER)  # of `weight_bytes`: tiles are whole; None: unknown


@dataclass(frozen=True, slots=True)
class GpuCost:
    """Time and memory of a network's products on one GPU, one kernel after the other."""

    layers: tuple[KernelCost, ...]
    batch: int  # frames that run together
    device: str
    model: str  # the cost model that says so, or `measured`
    calibration: str  # how far to trust it, in words
    outside: tuple[str, ...] = ()  # layers that are no part of `seconds`
    outside_bytes: int = field(default=0, metadata=LATER)  # of their weights, which are in memory all the same

    @property
    def seconds(self) -> float:
        """Of a batch."""
        return sum(layer.seconds for layer in self.layers)

    @property
    def frames_per_second(self) -> float:
        """Throughput when batches follow each other."""
        return self.batch / self.seconds

    @property
    def weight_bytes(self) -> int:
        """Of all layers, as they lie in the memory of the GPU."""
        return sum(layer.weight_bytes for layer in self.layers) + self.outside_bytes

    @property
    def padding(self) -> float | None:
        """Which share of the layers' bytes fills up tiles; None where it is not known of one."""
        known = [layer.padding_bytes for layer in self.layers if layer.padding_bytes is not None]
        return sum(known) / sum(layer.weight_bytes for layer in self.layers) if len(known) == len(self.layers) else None

    @property
    def label(self) -> str:
        """What the total leaves out: '' or 'without attn.softmax, norm1'."""
        return f"without {', '.join(self.outside)}" if self.outside else ""


Cost = FpgaCost | GpuCost


def dataflow(
    layers: Sequence[LayerCost],
    *,
    clock_mhz: float,
    device: str,
    model: str,
    calibration: str,
    outside: tuple[str, ...] = (),
    latency_cycles: int | None = None,
    stated: Stated | None = None,
) -> FpgaCost:
    """One engine per layer, all busy at once: area adds, the slowest layer sets the pace.

    `latency_cycles` comes from the graph (`hwdse.latency`); without it, it is the bound that no graph
    goes below: the slowest layer's work and all pipelines. ValueError without layers.
    """
    if not layers:
        raise ValueError("a dataflow accelerator has at least one layer")
    interval = max(layer.cycles for layer in layers)
    if latency_cycles is None:
        latency_cycles = interval + sum(layer.fill_cycles for layer in layers)
    made = tuple(layers), interval, latency_cycles, clock_mhz, device, model, calibration, outside
    return FpgaCost(*made, stated=stated)
