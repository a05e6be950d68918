"""A study's result made by hand: plausible, deterministic, without a network or a search."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from hwdse.cost import GpuCost, KernelCost, LayerCost, Resources, Term, dataflow
from hwdse.cost_model import Run
from hwdse.design import Design, Folding, Quantizer, Step
from hwdse.evaluation import Accuracy, Evaluation, pack
from hwdse.formats import parse
from hwdse.result import Constraint, Objective, Result, Sensitivity, Trial
from hwdse.sides import Joined, Price, Sides
from hwdse.target import FpgaTarget, gpu
from hwdse.workload import Kind, Layer, Site, Workload

TARGET = FpgaTarget(
    name="small7",
    part="xc7small-1",
    family="xc7",
    luts=20_000,
    lut_inputs=6,
    ffs=40_000,
    brams=50,
    bram_kib=18,
    dsps=90,
    urams=0,
    dsp="dsp48e1",
    source="an invented part, for tests",
)
INNER = ("conv2", "conv3", "conv4")
WORKLOAD = Workload(
    name="toy-cnn",
    layers=(
        Layer("conv1", Kind.CONV, ("image",), ("act1",), rows=8, dot=9, positions=64),
        Layer("conv2", Kind.CONV, ("act1",), ("act2",), rows=16, dot=72, positions=64),
        Layer("conv3", Kind.CONV, ("act2",), ("act3",), rows=16, dot=144, positions=16),
        Layer("conv4", Kind.CONV, ("act3",), ("act4",), rows=32, dot=144, positions=16),
        Layer("fc", Kind.LINEAR, ("act4",), (), rows=10, dot=32, positions=1),
        Layer("softmax", Kind.SOFTMAX, (), (), rows=10, dot=10, positions=1),
    ),
    sites=(
        Site("image", ("image",), ("conv1",), 64),
        Site("act1", ("act1",), ("conv2",), 512),
        Site("act2", ("act2",), ("conv3",), 1024),
        Site("act3", ("act3",), ("conv4",), 256),
        Site("act4", ("act4",), ("fc",), 512),
    ),
    input_shape=(1, 8, 8),
)
LENGTH = {"search": 400, "test": 1000}
FLOOR = 0.8  # top-1 that the study demands
HARD = {"search": 8, "test": 22}  # images that every model gets wrong


def hits(split: str, wrong: int, seed: int = 0) -> str:
    """The images of `split` without `wrong` of them: first those that all models find hard, then some at random."""
    right = np.ones(LENGTH[split], bool)
    hard = min(wrong, HARD[split])
    others = hard + np.random.default_rng(seed).permutation(LENGTH[split] - hard)
    right[:hard] = False
    right[others[: wrong - hard]] = False
    return pack(right)


def accuracy(split: str, wrong: int, seed: int = 0, sqnr_db: float | None = 20.0) -> Accuracy:
    """An accuracy with `wrong` wrong images."""
    return Accuracy(split, LENGTH[split], hits(split, wrong, seed), loss=0.1 + wrong / LENGTH[split], sqnr_db=sqnr_db)


def design(formats: tuple[str, ...], edge: str = "int8") -> Design:
    """`edge` at both ends and `formats` in the three layers between, weights signed, activations unsigned."""
    first = Quantizer(parse(edge), "channel")
    weights = {"conv1": first, "fc": first} | {
        n: Quantizer(parse(f), "channel") for n, f in zip(INNER, formats, strict=True)
    }
    unsigned = [Quantizer(parse(f).unsigned) for f in formats]
    activations = {f"act{i}": q for i, q in enumerate(unsigned, start=1)}
    activations |= {"image": Quantizer(parse("uint8")), "act4": Quantizer(parse("uint8"))}
    return Design.of(weights, activations, {name: Folding(4, 8) for name in weights})


def layer_cost(layer: Layer, quantizer: Quantizer) -> LayerCost:
    """An invented price: minifloats pay for their alignment shifts."""
    fmt = quantizer.format
    shift = 2**fmt.exponent if not fmt.uniform else 0
    terms = (
        Term("multipliers", Resources(luts=3 * fmt.bits**2, ffs=40)),
        Term("adder tree", Resources(luts=6 * (2 * fmt.mantissa + 2 * shift), ffs=64)),
        Term("weights", Resources(luts=layer.weights * fmt.bits // 64, lutrams=layer.weights * fmt.bits // 64)),
        Term("thresholds", Resources(luts=layer.rows * 2 ** min(fmt.bits, 6) // 4, brams=fmt.bits // 7)),
        Term("window", Resources(luts=120 if layer.kind is Kind.CONV else 0)),
    )
    return LayerCost(layer.name, terms, layer.macs // 32, layer.dot, Folding(4, 8), 2 * fmt.mantissa + shift + 8)


def evaluation(made: Design, wrong: int, seed: int) -> Evaluation:
    """The design with `wrong` wrong images in the search split."""
    weights = dict(made.weights)
    cost = dataflow(
        [layer_cost(layer, weights[layer.name]) for layer in WORKLOAD.weighted],
        clock_mhz=100.0,
        device=TARGET.name,
        model="toy",
        calibration="uncalibrated: invented for tests.",
        outside=("softmax",),
    )
    bits = sum(layer.weights * weights[layer.name].format.bits for layer in WORKLOAD.weighted)
    return Evaluation(made, (accuracy("search", wrong, seed),), cost, (), bits)


UNIFORM = (
    "int8",
    "int6",
    "int5",
    "int4",
    "int3",
    "e4m3",
    "e3m4",
    "e3m2",
    "e2m3",
    "e2m2",
    "e2m1",
    "e3m1",
    "e1m2",
    "e2m0",
)
MIXED = ("int4", "e2m1", "int3", "e3m2", "int5", "e2m2", "e2m0")


def wrong_images(formats: tuple[str, ...]) -> int:
    """How many images of the search split a design gets wrong: an invented law that flatters minifloats of 4 bits."""
    harm = 0.0
    for name in formats:
        fmt = parse(name)
        harm += 400 * 2.0 ** (-1.7 * (fmt.mantissa + (1.3 if not fmt.uniform else 0.0)))
    return 12 + min(round(harm / 3), 330)


def trials() -> tuple[Trial, ...]:
    """14 uniform designs, then 40 that a sampler might have proposed; trial 30 failed."""
    rng = np.random.default_rng(1)
    proposals: list[tuple[str, ...]] = [(name,) * 3 for name in UNIFORM]
    proposals += [tuple(str(name) for name in rng.choice(MIXED, 3)) for _ in range(40)]
    return tuple(trial(number, formats) for number, formats in enumerate(proposals) if number != 30)


def trial(number: int, formats: tuple[str, ...]) -> Trial:
    """An evaluated design; it is feasible from `FLOOR` on."""
    one = evaluation(design(formats), wrong_images(formats) + number % 3, number + 1)
    values = (one.accuracy("search").top1, float(one.fpga.area.luts))
    origin = "baseline" if number == 0 else "uniform" if number < len(UNIFORM) else "tpe"
    return Trial(number, origin, one, values, values[0] >= FLOOR)


def front_of(made: tuple[Trial, ...]) -> tuple[int, ...]:
    """The trials that no other beats, cheapest first."""
    kept: list[Trial] = []
    for trial in sorted(made, key=lambda t: (t.values[1], -t.values[0])):
        if trial.feasible and (not kept or trial.values[0] > kept[-1].values[0]):
            kept.append(trial)
    return tuple(trial.number for trial in kept)


def tested(trial: Trial) -> Trial:
    """The trial with an accuracy on the test split."""
    wrong = round(2.5 * (1 - trial.evaluation.accuracy("search").top1) * LENGTH["search"]) + trial.number % 5
    both = (*trial.evaluation.accuracies, accuracy("test", wrong, trial.number + 1))
    return replace(trial, evaluation=replace(trial.evaluation, accuracies=both))


@pytest.fixture(scope="session")
def result() -> Result:
    """A finished study of 54 trials, one of them failed."""
    made = trials()
    front = front_of(made)
    made = tuple(tested(trial) if trial.number in (*front, 0) else trial for trial in made)
    top1 = {trial.number: trial.values[0] for trial in made}
    volume = np.cumsum(1.0 / (1 + np.arange(len(made))) ** 1.5)
    return Result(
        study="toy",
        question="Which number formats should the digit reader on the small7 board use?",
        workload=WORKLOAD,
        target=TARGET,
        clock_mhz=100.0,
        objectives=(Objective("top1", "maximize"), Objective("lut", "minimize")),
        constraints=(Constraint("top1", low=FLOOR),),
        float_accuracies=(accuracy("search", 10, sqnr_db=None), accuracy("test", 25, sqnr_db=None)),
        trials=made,
        failures=((30, "the <scale> of layer 'conv3' is not finite"),),
        front=front,
        baseline=0,
        best=next(number for number in front if top1[number] >= 0.975 - 0.02),
        knee=next(number for number in front if top1[number] >= 0.9),
        max_loss=0.02,
        reference_point=(-0.1, 20_000.0),
        hypervolume=tuple((trial.number, float(value)) for trial, value in zip(made, volume, strict=True)),
        manifest=(
            ("hwdse", "0.1.0"),
            ("commit", "0123abc"),
            ("seed", "0"),
            ("study file", "studies/toy.toml, digest 89abcdef"),
        ),
    )


@pytest.fixture(scope="session")
def raced(result: Result) -> Result:
    """The study with races: ten trials saw 64 images, by chance without a mistake, and had lost all the same."""
    lost = [trial.number for trial in result.trials if trial.number not in result.front][1:11]
    beginning = Accuracy("search", 64, pack(np.ones(64, bool)), 0.1, 20.0)
    trials = tuple(
        replace(trial, evaluation=replace(trial.evaluation, accuracies=(beginning,)), seconds=0.5)
        if trial.number in lost
        else replace(trial, seconds=2.0)
        for trial in result.trials
    )
    volumes = tuple(pair for pair in result.hypervolume if pair[0] not in lost)
    return replace(result, trials=trials, hypervolume=volumes, racing=0.95)


BOTH = (Step("gptq"), Step("bias_correction"))


@pytest.fixture(scope="session")
def recipes(result: Result) -> Result:
    """The study with three more trials: those of the front's first three with a recipe, 4, 8 and 0 images better."""
    more = []
    for number, (of, better) in enumerate(zip(result.front[:3], (4, 8, 0), strict=True), start=54):
        plain = result.trial(of).evaluation
        search = plain.accuracy("search")
        right = search.right.copy()
        right[np.flatnonzero(~right)[:better]] = True
        treated = replace(search, hits=pack(right))
        evaluation = replace(plain, design=replace(plain.design, recipe=BOTH), accuracies=(treated,))
        more.append(Trial(number, "tpe", evaluation, (treated.top1, float(plain.fpga.area.luts)), True))
    return replace(result, trials=(*result.trials, *more))


def sensitivities(result: Result) -> tuple[Sensitivity, ...]:
    """Invented: every place has three formats, the loss rises by a step for each place and bit that is saved."""
    base = result.trial(0).evaluation.accuracy("search").loss
    weights = [("weights", layer.name) for layer in WORKLOAD.weighted]
    activations = [("activations", site.name) for site in WORKLOAD.sites]
    found = []
    for step, (kind, place) in enumerate((*weights, *activations)):
        for written in ("int8", "int4", "e2m1"):
            fmt = parse(written)
            used = Quantizer(fmt, "channel") if kind == "weights" else Quantizer(fmt.unsigned)
            name = Quantizer(fmt, used.granularity).name
            rise = step * 0.01 * (8 - fmt.bits + (written == "e2m1"))
            found.append(Sensitivity(kind, place, name, used.name, base + rise, 0.97 - rise, 30 - 100 * rise))
    return tuple(found)


@pytest.fixture(scope="session")
def sensitive(result: Result) -> Result:
    """The study with sensitivities."""
    return replace(result, sensitivities=sensitivities(result))


BATCH = 16
UNMEASURED = "uncalibrated: nothing was measured on h200. Not counted: what is between kernels"


def gpu_cost(design: Design) -> GpuCost:
    """A plausible cost: bytes of weights at 1 GB/s, and never less than a launch."""
    return GpuCost(
        tuple(map(partial(kernel, design), WORKLOAD.weighted)), BATCH, "h200", "gpu", UNMEASURED, ("softmax",)
    )


def kernel(design: Design, layer: Layer) -> KernelCost:
    """Of one layer."""
    moved = layer.weights * dict(design.weights)[layer.name].format.bits // 8
    seconds, bound = max((2e-6, "launch"), (moved * 1e-9, "memory"))
    sizes = BATCH * layer.positions, layer.rows, layer.dot
    return KernelCost(
        layer.name,
        f"a16 float16 64x16:w16:s4:k1:t4 {layer.name}",
        seconds,
        bound,
        moved,
        4 * moved,
        *sizes,
        padding_bytes=moved // 5,
    )


@pytest.fixture(scope="session")
def on_gpu(result: Result) -> Result:
    """The same designs on a GPU, with its own prices and front."""
    made = tuple(_on_gpu(trial) for trial in result.trials)
    front = front_of(made)
    made = tuple(tested(trial) if trial.number in (*front, 0) else trial for trial in made)
    accurate = [number for number in front if made_top1(made, number) >= 0.975 - 0.02]
    return replace(
        result,
        target=gpu("h200"),
        clock_mhz=None,
        run=Run(BATCH),
        objectives=tuple(Objective(*pair) for pair in GPU_OBJECTIVES),
        trials=made,
        front=front,
        best=accurate[0],
        knee=accurate[-1],
        reference_point=(-0.1, 1e-3, 1e6),
    )


GPU_OBJECTIVES = (("top1", "maximize"), ("latency", "minimize"), ("weight_bytes", "minimize"))


def made_top1(made: tuple[Trial, ...], number: int) -> float:
    """Of a trial, on the search split."""
    return next(trial.values[0] for trial in made if trial.number == number)


def _on_gpu(trial: Trial) -> Trial:
    """The trial without what the test split shows, priced on the GPU."""
    design = replace(trial.evaluation.design, folding=())
    cost = gpu_cost(design)
    search = trial.evaluation.accuracy("search")
    evaluation = Evaluation(design, (search,), cost, (), trial.evaluation.weight_bits)
    return replace(trial, evaluation=evaluation, values=(search.top1, cost.seconds, float(cost.weight_bytes)))


@pytest.fixture(scope="session")
def sides(result: Result, on_gpu: Result) -> Sides:
    """Both side by side; the first design has no price on the FPGA."""
    fronts = [{_unfolded(r.trial(n)): n for n in r.front} for r in (result, on_gpu)]
    known = [{_unfolded(trial): trial.evaluation for trial in r.trials} for r in (result, on_gpu)]
    joined = []
    for design in dict.fromkeys((*fronts[0], *fronts[1])):
        prices = tuple(
            Price(priced[design].predicted, "", front.get(design)) for front, priced in zip(fronts, known, strict=True)
        )
        own = next(priced[design] for front, priced in zip(fronts, known, strict=True) if design in front)
        joined.append(Joined(design, own.accuracies, own.weight_bits, prices))
    joined.sort(key=lambda one: -one.evaluation.accuracy("search").top1)
    free = next(at for at, one in enumerate(joined) if one.prices[0].trial is None)
    absent = Price(None, "layer 'fc' has no price", None)
    joined[free] = replace(joined[free], prices=(absent, joined[free].prices[1]))
    return Sides("toy", "Which formats where?", ("small7", "h200"), tuple(joined))


def _unfolded(trial: Trial) -> Design:
    return replace(trial.evaluation.design, folding=())
