"""Exact folding of ResNet-20 beside two greedy ones, at equal rates and the fastest that fits, and how long it takes.

    python benchmarks/folding.py [--json] [--clock 200]

On three devices with four sets of formats. All foldings are priced by `Dataflow`, which makes the parts of each as is
best for it, so that what differs is PE and SIMD alone. The first greedy one is after FINN's SetFolding: one layer after
the other, SIMD through its divisors until the layer is fast enough or the weights of one PE are wider than a limit of
36 bits, then PE until the layer is fast enough. FINN stops there; here the limit is doubled until the rate is reached,
because the rates are to be equal. The second is `hwdse.folding.fold`. Times begin with nothing remembered.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from hwdse import folding
from hwdse.cost_models.dataflow import Dataflow
from hwdse.design import Design, Folding, Quantizer
from hwdse.foldings import stages
from hwdse.foldings.choice import Space, fastest, front, smallest, space
from hwdse.foldings.limits import UNLIMITED
from hwdse.memory import utilization
from hwdse.pricing import Question, asked
from hwdse.target import FpgaTarget, fpga
from hwdse.workload import Layer, Workload

DEVICES = ("xczu7ev", "ecp5_85f", "u250")
FORMATS = (("int4:channel", "uint4"), ("int8:channel", "uint8"), ("e2m1:channel", "ue2m2"))
MIXED = (("int3", "int4", "int6", "int8", "e2m1", "e3m2"), ("uint3", "uint4", "uint8", "ue2m2"))
WEIGHT_BITS = 36  # of one PE: FINN's default of `mvau_wwidth_max`
BAR = 10.0  # seconds for a question

T = TypeVar("T")
Folded = dict[str, Folding]


@dataclass(frozen=True, slots=True)
class Point:
    """A folded network on a device."""

    cycles: int
    share: float  # of the scarcest resource
    luts: int


def designs(workload: Workload) -> Iterator[tuple[str, Design]]:
    """The same formats everywhere, and different ones in every layer."""
    weighted, sites = [layer.name for layer in workload.weighted], [site.name for site in workload.sites]
    for pair in FORMATS:
        weights, activations = map(Quantizer.parse, pair)
        yield " ".join(pair), Design.of(dict.fromkeys(weighted, weights), dict.fromkeys(sites, activations))
    random = np.random.default_rng(0)
    weights_of, activations_of = ([Quantizer.parse(name) for name in names] for names in MIXED)
    yield (
        "mixed",
        Design.of(
            {name: weights_of[random.integers(len(weights_of))] for name in weighted},
            {name: activations_of[random.integers(len(activations_of))] for name in sites},
        ),
    )


# ---- greedy --------------------------------------------------------------------------------------


def like_finn(workload: Workload, design: Design, cycles: int) -> Folded:
    """After FINN's SetFolding."""
    bits = {name: quantizer.format.bits for name, quantizer in design.weights}
    return {layer.name: _one_like_finn(layer, bits.get(layer.name, 0), cycles) for layer in workload.layers}


def _one_like_finn(layer: Layer, weight_bits: int, cycles: int) -> Folding:
    legal, limit = folding.legal(layer), WEIGHT_BITS
    while True:
        simds = [one.simd for one in legal if one.pe == 1 and one.simd * weight_bits <= limit]
        fast = (simd for simd in simds if folding.cycles(layer, Folding(1, simd)) <= cycles)
        simd = next(fast, simds[-1])
        pes = (one for one in legal if one.simd == simd and folding.cycles(layer, one) <= cycles)
        found = next(pes, None)
        if found is not None:
            return found
        limit *= 2


def priced(workload: Workload, design: Design, folded: Folded, target: FpgaTarget) -> Point:
    """A greedy folding as the cost model prices it."""
    chosen = replace(design, folding=tuple(sorted(folded.items())))
    layers = Dataflow().layers(workload, chosen, target)
    areas = [layer.area for layer in layers]
    total = sum(areas[1:], areas[0])
    return Point(max(layer.cycles for layer in layers), utilization(total, target), total.luts)


# ---- side by side --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Compared:
    """One design on one device."""

    title: str
    exact: tuple[Point, ...]  # the front, slowest first
    greedy: tuple[tuple[Point, ...], ...]  # as many as FINN's and `fold` make of the same rates
    seconds: tuple[float, float, float]  # the fastest that fits or that none does, the smallest at a rate, the front

    def quickest(self, points: Iterable[Point]) -> int | None:
        """The shortest interval of those that fit."""
        return min((point.cycles for point in points if point.share <= 1), default=None)


def compare(title: str, workload: Workload, design: Design, target: FpgaTarget) -> Compared:
    """All of them for one design on one device."""
    made, whole = timed(lambda: front(_space(workload, design, target)))
    _, quick = timed(lambda: _fastest(workload, design, target))
    middle = made[len(made) // 2].interval_cycles
    _, small = timed(lambda: smallest(_space(workload, design, target), middle))
    exact = tuple(Point(one.interval_cycles, utilization(one.area, target), one.area.luts) for one in made)
    rates = [point.cycles for point in exact]
    finn = tuple(priced(workload, design, like_finn(workload, design, cycles), target) for cycles in rates)
    ours = tuple(priced(workload, design, folding.fold(workload, cycles), target) for cycles in rates)
    return Compared(title, exact, (finn, ours), (quick, small, whole))


def _space(workload: Workload, design: Design, target: FpgaTarget) -> Space:
    return space(workload, design, target, limits=UNLIMITED)


def _fastest(workload: Workload, design: Design, target: FpgaTarget) -> None:
    """The fastest that fits, or the proof that none does."""
    try:
        fastest(space(workload, design, target))
    except ValueError as error:
        if "is within the limits" not in str(error):
            raise


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """What `work` gives, and the seconds that it takes with nothing remembered."""
    for cached in (stages._differing, folding.legal, folding.cycles):
        cached.cache_clear()
    start = time.perf_counter()
    return work(), time.perf_counter() - start


def ratios(found: list[Compared]) -> dict[str, float]:
    """Of utilization at equal rates and of rates where both fit, geometric means; and of time to the bar."""
    result = dict[str, float]()
    for i, name in enumerate(("FINN-style", "fold")):
        pairs = [pair for one in found for pair in zip(one.greedy[i], one.exact, strict=True)]
        result[f"utilization, {name} to exact"] = _mean(other.share / own.share for other, own in pairs)
        ends = [(one.quickest(one.greedy[i]), one.quickest(one.exact)) for one in found]
        result[f"frames/s that fit, exact to {name}"] = _mean(slow / fast for slow, fast in ends if slow and fast)
    for i, name in enumerate(("fastest", "smallest", "front")):
        result[f"{BAR:g} s to the slowest of {name}"] = BAR / max(one.seconds[i] for one in found)
    return result


def _mean(values: Iterable[float]) -> float:
    return float(np.exp(np.mean(np.log(list(values)))))


def show(one: Compared, clock_mhz: float) -> None:
    """The rates, and of each the share of what is scarcest and the LUTs."""
    seconds = "fastest {:.2f} s, smallest {:.2f} s, front {:.2f} s".format(*one.seconds)
    ends = [one.quickest(points) for points in (one.exact, *one.greedy)]
    rates = ["none" if end is None else f"{clock_mhz * 1e6 / end:,.0f}" for end in ends]
    print(f"\n{one.title}: {seconds}; fastest that fits, frames/s: exact {rates[0]}, FINN {rates[1]}, fold {rates[2]}")
    print(f"{'cycles':>9}  {'exact':>18}  {'FINN-style':>18}  {'fold':>18}")
    for points in zip(one.exact, *one.greedy, strict=True):
        cells = "  ".join(f"{100 * point.share:7.1f} % {point.luts:>9,}" for point in points)
        print(f"{points[0].cycles:>9,}  {cells}")


def main() -> None:
    """Folds, and prints all points or the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clock", type=float, default=200.0, help="MHz, for frames/s in words")
    parser.add_argument("--json", action="store_true", help="one object instead of words")
    arguments = parser.parse_args()
    pair = Quantizer.parse("int8"), Quantizer.parse("int8")
    workload = asked(Question("cifar-resnet20", DEVICES[0]), pair).workload
    found = list[Compared]()
    for device in DEVICES:
        for name, design in designs(workload):
            found.append(compare(f"{device}, {name}", workload, design, fpga(device)))
            if not arguments.json:
                show(found[-1], arguments.clock)
    if arguments.json:
        print(json.dumps({"benchmark": "folding", "ratios": ratios(found)}))
        return
    print()
    for name, ratio in ratios(found).items():
        print(f"{name}: {ratio:.3f}")


if __name__ == "__main__":
    main()
