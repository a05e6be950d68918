"""Designs evaluated per minute, beside a loop that rebuilds the Brevitas model for every design.

Both evaluate the same random per-layer mixes of integers and minifloats (half each) on the same
256 calibration and 450 search images of the digits, in one process with one thread, in turns; the
predictions are compared, and a difference is an error. `python benchmarks/sweep.py [--json]`.
"""

import argparse
import json
import random
import warnings
from copy import deepcopy
from time import perf_counter

warnings.filterwarnings("ignore", category=DeprecationWarning)  # Brevitas imports its own deprecated modules
warnings.filterwarnings("ignore", category=FutureWarning, module="brevitas")
warnings.filterwarnings("ignore", message="fast_hadamard_transform")

import brevitas.nn as qnn  # noqa: E402
import torch  # noqa: E402
from brevitas.graph.calibrate import calibration_mode  # noqa: E402
from brevitas.graph.quantize import layerwise_quantize, preprocess_for_quantize  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from hwdse.accuracy import Evaluator  # noqa: E402
from hwdse.data import Data, DataSpec, load  # noqa: E402
from hwdse.design import Design, Quantizer  # noqa: E402
from hwdse.formats import parse  # noqa: E402
from hwdse.models import ModelSpec  # noqa: E402
from hwdse.models import load as load_model  # noqa: E402
from hwdse.quantize import Bench  # noqa: E402
from hwdse.quantizers import activation_recipe, weight_recipe  # noqa: E402

FORMATS = ("int3", "int4", "int5", "int6", "int8", "e2m0", "e2m1", "e2m2", "e3m2", "e4m3")
DESIGNS = 40
NETWORKS = ("digits-mlp", "digits-cnn")


def mixes(bench: Bench, count: int) -> list[Design]:
    """Random designs, the same at every call."""
    choose = random.Random(0)
    return [
        Design.of(
            {a.name: Quantizer(parse(choose.choice(FORMATS)), "channel") for a in bench.workload.weighted},
            {s.name: Quantizer(parse(choose.choice(FORMATS))) for s in bench.workload.sites},
            hardware=False,
        )
        for _ in range(count)
    ]


def rebuilt(prepared: nn.Module, design: Design, data: Data) -> Tensor:
    """Predictions of `design`, the way a script on Brevitas gets them."""
    weights, inputs = dict(design.weights), dict(design.activations)
    options = {
        "weight_quant": lambda module, name: weight_recipe(weights[name]).injector,
        "input_quant": lambda module, name: activation_recipe(inputs[f"{name}.input"]).injector,
        "bias_quant": None,
        "return_quant_tensor": False,
    }
    layers = {nn.Conv2d: (qnn.QuantConv2d, options), nn.Linear: (qnn.QuantLinear, options)}
    model = layerwise_quantize(deepcopy(prepared), layers).eval()
    with torch.no_grad():
        for images, _ in data.calibration.batches(256):
            model(images[:8])
            with calibration_mode(model):
                model(images)
        outputs = [model(images).argmax(1) for images, _ in data.search.batches(500)]
    return torch.cat(outputs)


def measure(name: str, data: Data) -> tuple[float, float, float]:
    """Designs per minute of the loop and of hwdse, and the seconds of hwdse's first ten designs (its warm-up)."""
    network = load_model(ModelSpec(name))
    bench = Bench.of(network, data.calibration, name, hardware=False)
    evaluator, prepared = Evaluator(bench, {"search": data.search}), preprocess_for_quantize(deepcopy(network))
    labels = torch.cat([labels for _, labels in data.search.batches(500)])
    designs = mixes(bench, DESIGNS)
    start = perf_counter()
    for design in mixes(bench, 10):
        evaluator.accuracy(design, "search")
    warm_up, loop, ours = perf_counter() - start, 0.0, 0.0
    for design in designs:
        start = perf_counter()
        expected = rebuilt(prepared, design, data) == labels
        middle = perf_counter()
        got = evaluator.accuracy(design, "search")
        loop, ours = loop + middle - start, ours + perf_counter() - middle
        if got.right.tolist() != expected.tolist():
            raise SystemExit(f"{name}: predictions of design {design.digest} differ")
    return 60 * DESIGNS / loop, 60 * DESIGNS / ours, warm_up


def main() -> None:
    """Prints the table, or with --json one object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    as_json = parser.parse_args().json
    torch.set_num_threads(1)
    data, ratios = load(DataSpec("digits")), {}
    if not as_json:
        print(f"{'network':12} {'Brevitas loop':>14} {'hwdse':>8} {'ratio':>6} {'warm-up':>8}   designs a minute")
    for name in NETWORKS:
        loop, ours, warm_up = measure(name, data)
        ratios[name] = round(ours / loop, 2)
        if not as_json:
            print(f"{name:12} {loop:14.0f} {ours:8.0f} {ours / loop:6.1f} {warm_up:7.1f}s")
    if as_json:
        print(json.dumps({"benchmark": "sweep", "ratios": ratios}))


if __name__ == "__main__":
    main()
