"""How many prices a second: one layer for all pairs of formats and all foldings at once, and one price after another.

    python benchmarks/cost.py [--processes 2] [--device ecp5_25f] [--json]

Both give the same numbers (tests/hwdse/test_sweep.py). The second, which the search uses, remembers units that it has
seen; here it has seen none.
"""

import argparse
import json
import os
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import product

from hwdse.cost_model import FpgaCostModel
from hwdse.cost_models.dataflow import Dataflow
from hwdse.design import Design, Quantizer
from hwdse.folding import legal
from hwdse.formats import known_formats
from hwdse.sweep import prices
from hwdse.target import fpga
from hwdse.workload import Kind, Layer

CHANNELS, SIZE = 512, 14  # of a 3x3 convolution as ResNet-18 has it, with many foldings
LAYER = Layer(
    *("conv", Kind.CONV, ("in",), ("out",), CHANNELS, 9 * CHANNELS, SIZE * SIZE),
    in_shape=(CHANNELS, SIZE, SIZE),
    out_shape=(CHANNELS, SIZE, SIZE),
    kernel=(3, 3),
    padding=(1, 1),
    bias=True,
)
WEIGHTS = [Quantizer(fmt, "channel") for fmt in known_formats(bits=range(3, 9))]
ACTIVATIONS = [Quantizer(fmt) for fmt in known_formats(bits=range(3, 9), signed=False)]
ONE_BY_ONE = 200  # prices


def together(device: str, repeats: int) -> int:
    """Prices of the whole table, `repeats` times."""
    pairs, foldings = list(product(WEIGHTS, ACTIVATIONS)), legal(LAYER)
    for _ in range(repeats):
        prices(LAYER, pairs, ACTIVATIONS[0], foldings, fpga(device))
    return repeats * len(pairs) * len(foldings)


def one_by_one(device: str) -> int:
    """Prices of designs that share no quantiser or folding with those before."""
    model: FpgaCostModel = Dataflow()
    pairs = list(product(WEIGHTS, ACTIVATIONS))
    foldings = legal(LAYER)
    for i in range(ONE_BY_ONE):
        weight, activation = pairs[i * len(pairs) // ONE_BY_ONE]
        folding = {LAYER.name: foldings[i * 7 % len(foldings)]}
        design = Design.of({LAYER.name: weight}, {"in": activation, "out": ACTIVATIONS[0]}, folding)
        model.layer(LAYER, design, fpga(device))
    return ONE_BY_ONE


def main() -> None:
    """Times both in one run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--device", default="ecp5_25f")
    parser.add_argument("--json", action="store_true", help="one object instead of words")
    arguments = parser.parse_args()
    with ProcessPoolExecutor(arguments.processes) as pool:
        list(pool.map(together, [arguments.device] * arguments.processes, [1] * arguments.processes))  # imports
        start = time.perf_counter()
        count = sum(pool.map(together, [arguments.device] * arguments.processes, [3] * arguments.processes))
        fast = count / (time.perf_counter() - start)
    start = time.perf_counter()
    slow = one_by_one(arguments.device) / (time.perf_counter() - start)
    if arguments.json:
        print(json.dumps({"benchmark": "cost", "ratios": {"table to one after the other": fast / slow}}))
        return
    print(f"{arguments.device}, {arguments.processes} processes: {fast:,.0f} prices/s in tables of {count:,}")
    print(f"one after the other, one process: {slow:,.0f} prices/s; the table is {fast / slow:,.0f} times faster")


if __name__ == "__main__":
    main()
