"""Designs evaluated per minute, beside a loop that rebuilds the Brevitas model for every design.

Both evaluate the same random per-layer mixes of integers and minifloats (half each) on the same images, in one process
with one thread, one after the other; logits are compared, and a difference is an error. The loop has memory as Python
and torch have it; then the process keeps what it frees, as a run of ours does. The loop may choose the batch size that
is faster for it. Every format is met once before the clock starts: that is the warm-up. Beside it: how long the
forward pass of a quantised network takes in units of the float network's, and what designs that change one layer at a
time gain from the network's part that they share. On ResNet-20 also races: a stream of designs, as an evolutionary
search proposes them, is evaluated on all images and again in races, and the fronts are compared.
`python benchmarks/sweep.py [--cifar FOLDER] [--only NETWORK] [--json] [--page]`; without the folder (see
studies/resnet20.toml) ResNet-20 has random weights and images. `--page` writes docs/sweep.md.
"""

import argparse
import json
import platform
import random
import sys
import warnings
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

warnings.filterwarnings("ignore", category=DeprecationWarning)  # Brevitas imports its own deprecated modules
warnings.filterwarnings("ignore", category=FutureWarning, module="brevitas")
warnings.filterwarnings("ignore", message="fast_hadamard_transform")

import brevitas.nn as qnn  # noqa: E402
import numpy as np  # noqa: E402
import optuna  # noqa: E402
import torch  # noqa: E402
from brevitas.graph.calibrate import calibration_mode  # noqa: E402
from brevitas.graph.quantize import layerwise_quantize, preprocess_for_quantize  # noqa: E402
from jinja2 import Environment, StrictUndefined  # noqa: E402
from optuna.samplers import NSGAIISampler  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from hwdse import cost_model, heap, pareto  # noqa: E402
from hwdse.accuracy import Evaluator  # noqa: E402
from hwdse.data import Data, DataSpec, Split, load  # noqa: E402
from hwdse.design import Design, Quantizer  # noqa: E402
from hwdse.folding import fold  # noqa: E402
from hwdse.formats import parse  # noqa: E402
from hwdse.models import ModelSpec  # noqa: E402
from hwdse.models import load as load_model  # noqa: E402
from hwdse.program import Call, Choice  # noqa: E402
from hwdse.quantize import CALIBRATION_BATCH, Bench, Shell  # noqa: E402
from hwdse.quantizers import activation_recipe, weight_recipe  # noqa: E402
from hwdse.racing import Race  # noqa: E402
from hwdse.target import fpga  # noqa: E402
from hwdse.zoo import build  # noqa: E402

DOCS = Path(__file__).parents[1] / "docs"
FORMATS = ("int3", "int4", "int5", "int6", "int8", "e2m0", "e2m1", "e2m2", "e3m2", "e4m3")
LOOP_BATCH = 500  # images, where that is faster for the loop
CLASSES = 10
CHANGED = 60  # designs of a sweep of sensitivities, about, or one for each layer
FORWARDS = 5  # of which the fastest counts
ROUNDS = 5  # of a sweep of sensitivities
RACES, CONFIDENCE = 80, 0.99
# Output channels, stride and expansion of each block of MobileNetV2 (Sandler et al. 2018, arXiv 1801.04381, table 2).
MOBILENET_V2 = ((16, 1, 1),) + ((24, 2, 6), (24, 1, 6)) + ((32, 2, 6),) + 2 * ((32, 1, 6),) + ((64, 2, 6),) + (
    3 * ((64, 1, 6),) + 3 * ((96, 1, 6),) + ((160, 2, 6),) + 2 * ((160, 1, 6),) + ((320, 1, 6),)
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A network with its images, and how many designs are timed."""

    name: str
    network: nn.Module
    data: Data
    designs: int


@dataclass(frozen=True)
class Row:
    """What was measured."""

    loop: float  # designs a minute
    ours: float
    warm_up: float  # seconds
    forward: float  # float forward passes
    gain: float  # of designs that change one layer, over evaluating each alone
    allowed: float  # the gain that the measured times of the steps allow

    @property
    def ratio(self) -> float:
        """Designs a minute, ours over the loop's."""
        return self.ours / self.loop


# ---- networks and images -------------------------------------------------------------------------


def block(wide: int, channels: int, out: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    """A convolution of `wide` channels and its norm; `out` of 0 leaves out the ReLU6."""
    convolution = nn.Conv2d(wide, channels, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [convolution, nn.BatchNorm2d(channels)] + [nn.ReLU6() for _ in range(out > 0)]


class Inverted(nn.Module):
    """An inverted residual."""

    def __init__(self, wide: int, out: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = wide * expansion
        first = block(wide, inner, 1, 1) if expansion > 1 else []
        self.body = nn.Sequential(*first, *block(inner, inner, 1, 3, stride, inner), *block(inner, out, 0, 1))
        self.residual = stride == 1 and wide == out

    def forward(self, x: Tensor) -> Tensor:
        """`n x wide x H x W` to `n x out x H / stride x W / stride`."""
        y: Tensor = self.body(x)
        return x + y if self.residual else y


def mobilenet() -> nn.Module:
    """The shape of MobileNetV2 with random weights."""
    wide, blocks = 32, []
    for out, stride, expansion in MOBILENET_V2:
        blocks.append(Inverted(wide, out, stride, expansion))
        wide = out
    head = [*block(wide, 1280, 1, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, CLASSES)]
    return nn.Sequential(*block(3, 32, 1, 3, 2), *blocks, *head)


def noise(calibration: int, search: int, size: int) -> Data:
    """Random images."""

    def split(name: str, count: int) -> Split:
        return Split(name, torch.randn(count, 3, size, size), torch.randint(CLASSES, (count,)))

    return Data(split("calibration", calibration), split("search", search), split("test", 1), CLASSES)


def settled(network: nn.Module, data: Data) -> nn.Module:
    """`network` with the batch-norm statistics of its images."""
    with torch.no_grad():
        for images, _ in data.calibration.batches(64):
            network.train()(images)
    return network.eval()


def resnet20(cifar: Path | None) -> Case:
    """With 256 calibration and 1,000 search images."""
    if cifar is None:
        data = noise(256, 1000, 32)
        return Case("resnet20", settled(build("cifar-resnet20"), data), data, 5)
    paths = {"path": cifar / "test-3000.npz", "calibration_path": cifar / "train-1000.npz"}
    normal = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
    spec = DataSpec("archive", **paths, **normal, search=1000, test=2000)  # type: ignore[arg-type]
    network = load_model(ModelSpec("cifar-resnet20", cifar / "resnet20-12fca82f.th"))
    return Case("resnet20", network, load(spec), 5)


def digits(name: str) -> Case:
    """A built-in network on the digits."""
    return Case(name, load_model(ModelSpec(name)), load(DataSpec("digits")), 40)


def large() -> Case:
    """The shape of MobileNetV2 on a batch of 8 random images, for calibration and for the search."""
    images = noise(8, 8, 224)
    return Case("mobilenet_v2", settled(mobilenet(), images), images, 5)


def cases(cifar: Path | None) -> dict[str, Callable[[], Case]]:
    """All that can be measured, by name."""
    small = {name: partial(digits, name) for name in ("digits-mlp", "digits-cnn")}
    return {**small, "resnet20": partial(resnet20, cifar), "mobilenet_v2": large}


# ---- designs -------------------------------------------------------------------------------------


def design(bench: Bench, weights: dict[str, str], activations: dict[str, str]) -> Design:
    """Of these formats."""
    layers = {name: Quantizer(parse(fmt), "channel") for name, fmt in weights.items()}
    return Design.of(layers, {site: Quantizer(parse(f)) for site, f in activations.items()}, hardware=False)


def uniform(bench: Bench, fmt: str) -> Design:
    """One format everywhere."""
    layers, sites = bench.workload.weighted, bench.workload.sites
    return design(bench, {a.name: fmt for a in layers}, {s.name: fmt for s in sites})


def mixes(bench: Bench, count: int) -> list[Design]:
    """Random designs, the same at every call."""
    choose = random.Random(0)
    layers, sites = bench.workload.weighted, bench.workload.sites
    return [
        design(bench, {a.name: choose.choice(FORMATS) for a in layers}, {s.name: choose.choice(FORMATS) for s in sites})
        for _ in range(count)
    ]


def one_by_one(bench: Bench) -> list[Design]:
    """int8 everywhere, and that with other weights in one layer: a sweep of sensitivities."""
    base, layers = uniform(bench, "int8"), bench.workload.weighted
    others = [Quantizer(parse(fmt), "channel") for fmt in FORMATS[: max(1, CHANGED // len(layers))] if fmt != "int8"]
    return [base] + [
        Design.of(dict(base.weights) | {layer.name: other}, dict(base.activations), hardware=False)
        for layer in layers
        for other in others
    ]


# ---- measurements --------------------------------------------------------------------------------


def rebuilt(prepared: nn.Module, of: Design, data: Data, batch: int) -> Tensor:
    """Logits of a design, the way a script on Brevitas gets them."""
    weights, inputs = dict(of.weights), dict(of.activations)
    options = {
        "weight_quant": lambda module, name: weight_recipe(weights[name]).injector,
        "input_quant": lambda module, name: activation_recipe(inputs[f"{name}.input"]).injector,
        "bias_quant": None,
        "return_quant_tensor": False,
    }
    layers = {nn.Conv2d: (qnn.QuantConv2d, options), nn.Linear: (qnn.QuantLinear, options)}
    model = layerwise_quantize(deepcopy(prepared), layers).eval()
    with torch.no_grad():
        for images, _ in data.calibration.batches(CALIBRATION_BATCH):
            model(images[:8])
            with calibration_mode(model):
                model(images)
        return torch.cat([model(images) for images, _ in data.search.batches(batch)])


def seconds(task: Callable[[], object]) -> float:
    """The processor time that a call takes, in one thread: what else the machine does has little part in it."""
    start = process_time()
    task()
    return process_time() - start


def measure(case: Case) -> Row:
    """One row of the table."""
    bench = Bench.of(case.network, case.data.calibration, case.name, hardware=False)
    evaluator = Evaluator(bench, {"search": case.data.search})
    prepared = preprocess_for_quantize(deepcopy(case.network))
    designs = mixes(bench, case.designs)
    warm_up = seconds(lambda: [evaluator.accuracy(uniform(bench, fmt), "search") for fmt in FORMATS])
    batches = {evaluator.batch, LOOP_BATCH}
    batch = min(batches, key=lambda size: seconds(lambda: rebuilt(prepared, designs[0], case.data, size)))
    loop = sum(seconds(partial(rebuilt, prepared, each, case.data, batch)) for each in designs)
    heap.keep()  # as a run of ours does, and a script does not
    ours = sum(seconds(partial(evaluator.accuracy, each, "search")) for each in designs)
    check(case, bench, prepared, designs, evaluator.batch)
    forward = median(forward_ratio(bench, case.data, each) for each in designs[:3])
    gain, allowed = prefix_gain(bench, case.data)
    return Row(60 * len(designs) / loop, 60 * len(designs) / ours, warm_up, forward, gain, allowed)


def check(case: Case, bench: Bench, prepared: nn.Module, designs: list[Design], batch: int) -> None:
    """Ends the program where logits of some design differ in any bit."""
    for each in designs:
        expected = rebuilt(prepared, each, case.data, batch)
        with torch.inference_mode():
            got = torch.cat([bench.shell(each)(images) for images, _ in case.data.search.batches(batch)])
        if not torch.equal(got, expected):
            raise SystemExit(f"{case.name}: logits of design {each.digest} differ")


def forward_ratio(bench: Bench, data: Data, of: Design) -> float:
    """Time of a quantised forward pass over that of the float network, in turns, the fastest of each."""
    shell, graph = bench.shell(of), bench.traced.graph
    images, _ = next(iter(data.search.batches(64)))
    with torch.inference_mode():
        times = [(seconds(lambda: shell(images)), seconds(lambda: graph(images))) for _ in range(FORWARDS + 1)]
    quantised, plain = zip(*times[1:], strict=True)
    return float(min(quantised) / min(plain))


def prefix_gain(bench: Bench, data: Data) -> tuple[float, float]:
    """What a sweep of sensitivities gains by sharing, and what it can gain at most; medians of some rounds."""
    designs = one_by_one(bench)
    shells = [bench.shell(each) for each in designs]  # so that no weights are quantised below
    apart, shared, allowed = zip(*(prefix_round(bench, data, designs, shells) for _ in range(ROUNDS)), strict=True)
    return median(apart) / median(shared), median(allowed)


def prefix_round(bench: Bench, data: Data, designs: list[Design], shells: list[Shell]) -> tuple[float, float, float]:
    """Seconds of the sweep without sharing and with it, and the gain that its steps allow."""
    alone = Evaluator(bench, {"search": data.search}, trace_bytes=0)
    together = Evaluator(bench, {"search": data.search})
    for evaluator in (alone, together):
        evaluator.float_accuracy("search")
    apart = seconds(lambda: [alone.accuracy(each, "search") for each in designs])
    shared = seconds(lambda: list(together.accuracies(designs, "search")))
    return apart, shared, step_bound(shells, data, alone.batch)


@dataclass(frozen=True)
class Raced:
    """A stream of designs, in races and without."""

    whole: float  # designs a minute, each on all images
    raced: float
    full: int  # designs that were seen on all images although they raced
    volume: float  # of the front that races find, over that of all designs


def races(bench: Bench, data: Data, count: int) -> Raced:
    """Of `count` designs: uniform ones, then those of NSGA-II; loss against LUTs of an xczu7ev."""
    alone, price = Evaluator(bench, {"search": data.search}), pricer(bench)
    alone.float_accuracy("search")
    search = optuna.create_study(directions=["minimize", "minimize"], sampler=NSGAIISampler(seed=0))
    names = [a.name for a in bench.workload.weighted], [s.name for s in bench.workload.sites]
    for fmt in FORMATS:
        search.enqueue_trial({name: fmt for some in names for name in some})
    stream: list[Design] = []
    points: list[tuple[float, float]] = []
    whole = 0.0
    for _ in range(count):
        trial = search.ask()
        weights, sites = ({name: trial.suggest_categorical(name, FORMATS) for name in some} for some in names)
        stream.append(design(bench, weights, sites))
        bench.shell(stream[-1])  # so that no weights are quantised below
        start = process_time()
        found = alone.accuracy(stream[-1], "search")
        whole += process_time() - start
        points.append((found.loss, price(stream[-1])))
        search.tell(trial, points[-1])
    spent, kept = race_all(Evaluator(bench, {"search": data.search}), stream, [luts for _, luts in points])
    reference = np.max(points, axis=0) * 1.1
    volumes = [pareto.hypervolume(some, reference) for some in ([points[i] for i in kept], points)]
    return Raced(60 * count / whole, 60 * count / spent, len(kept), volumes[0] / volumes[1])


def race_all(evaluator: Evaluator, stream: list[Design], luts: list[float]) -> tuple[float, list[int]]:
    """Seconds for all designs of a stream, one after the other, and which were seen on all images."""
    evaluator.float_accuracy("search")
    spent, kept, losses = 0.0, list[int](), dict[int, float]()
    for number, each in enumerate(stream):
        start = process_time()
        cheaper = [i for i in kept if luts[i] <= luts[number]]
        if not cheaper:
            found = evaluator.accuracy(each, "search")
        else:
            rival = stream[min(cheaper, key=losses.__getitem__)]
            race = Race("loss", evaluator.penalties(rival, "search", "loss"), CONFIDENCE)
            found = evaluator.raced(each, "search", race)
        spent += process_time() - start
        if found.count == len(evaluator.splits["search"]):
            kept.append(number)
            losses[number] = found.loss
    return spent, kept


def pricer(bench: Bench) -> Callable[[Design], float]:
    """The LUTs of a design at 1,000 frames per second and 200 MHz, products in LUTs."""
    model = cost_model.for_fpgas("dataflow", {"multiplier": "lut"})
    folding, target = fold(bench.workload, 200_000), fpga("xczu7ev")

    def luts(of: Design) -> float:
        folded = Design.of(dict(of.weights), dict(of.activations), folding, hardware=of.hardware)
        return float(model.cost(bench.workload, folded, target, 200.0).area.luts)

    return luts


def step_bound(shells: list[Shell], data: Data, batch: int) -> float:
    """All steps of all designs over the different ones, in measured seconds of each step."""
    program, spent = shells[0].program, defaultdict[int, float](float)
    calls = [step.call for step in program.steps]
    for number, step in enumerate(program.steps):
        step.call = partial(timed, step.call, number, spent)
    with torch.inference_mode():
        for shell in shells:
            for images, _ in data.search.batches(batch):
                shell(images)
    for step, call in zip(program.steps, calls, strict=True):
        step.call = call
    different = {(number, key) for shell in shells for number, key in enumerate(shell.keys)}
    return len(shells) * sum(spent.values()) / sum(spent[number] for number, _ in different)


def timed(call: Call, number: int, spent: dict[int, float], values: list[Any], choice: Choice) -> Any:
    """What a step gives, with its processor time added to that of its number."""
    start = process_time()
    result = call(values, choice)
    spent[number] += process_time() - start
    return result


@dataclass(frozen=True)
class Found:
    """All that was measured of one network."""

    name: str
    images: tuple[int, int]  # of the calibration and of the search
    row: Row
    raced: Raced | None

    @property
    def ratios(self) -> dict[str, float]:
        """For a machine to read."""
        name, row, raced = self.name, self.row, self.raced
        ratios = {name: row.ratio, f"{name} forward": row.forward, f"{name} gain / allowed": row.gain / row.allowed}
        if raced is not None:
            ratios |= {f"{name} raced": raced.raced / row.loop, f"{name} raced front": raced.volume}
        return {key: round(value, 4) for key, value in ratios.items()}


def found(name: str, cifar: Path | None) -> Found:
    """Measures a network; races on ResNet-20 alone."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    case = cases(cifar)[name]()
    row, raced = measure(case), None
    if case.name == "resnet20":
        raced = races(Bench.of(case.network, case.data.calibration, case.name, hardware=False), case.data, RACES)
    print(f"{case.name}: {row.ratio:.1f} times the designs a minute", file=sys.stderr, flush=True)
    return Found(case.name, (len(case.data.calibration), len(case.data.search)), row, raced)


def page(results: list[Found]) -> str:
    """The whole page."""
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    made = environment.from_string((DOCS / "sweep.md.j2").read_text())
    return made.render(
        results=results, races=RACES, confidence=CONFIDENCE, machine=f"{platform.machine()}, torch {torch.__version__}"
    )


def main() -> None:
    """Prints the page, writes it, or with --json prints one object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cifar", type=Path, help="the folder with ResNet-20 and its images")
    parser.add_argument("--only", choices=cases(None), help="one network alone")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a page")
    parser.add_argument("--page", action="store_true", help="write docs/sweep.md")
    arguments = parser.parse_args()
    chosen = [name for name in cases(None) if arguments.only in (None, name)]
    spawn = get_context("spawn")  # a process each, whose memory is not kept yet
    with ProcessPoolExecutor(max_workers=1, max_tasks_per_child=1, mp_context=spawn) as child:
        results = list(child.map(partial(found, cifar=arguments.cifar), chosen))
    if arguments.json:
        ratios = {key: value for one in results for key, value in one.ratios.items()}
        print(json.dumps({"benchmark": "sweep", "ratios": ratios}))
    elif arguments.page:
        (DOCS / "sweep.md").write_text(page(results))
    else:
        print(page(results))


if __name__ == "__main__":
    main()
