"""What `hwdse build` and `hwdse verify` do: from a design of a run to a folder with its hardware, and back."""

import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from hwdse import board_top, host, study, tables, vitis, vitis_simulation
from hwdse import run as runs
from hwdse.artifact import DESIGN, places
from hwdse.artifact import verify as verify_folder
from hwdse.assembly import assemble, prove
from hwdse.boards import Board, board, board_of
from hwdse.build import BuildError, beside
from hwdse.build_folder import SYNTH, Made, contents, facts
from hwdse.cost import FpgaCost, LayerCost, Term
from hwdse.cost_models.dataflow import Dataflow
from hwdse.delivery import deliver
from hwdse.equality import compare, input_codes
from hwdse.flows.bitstream import Bitstream
from hwdse.instances import CALLS
from hwdse.lower import lower
from hwdse.proof import Compared, Proof
from hwdse.report import write as write_report
from hwdse.result import Result, Trial
from hwdse.simulate import simulate
from hwdse.study import Study
from hwdse.target import FpgaTarget, devices, fpga, uses

FLOWS = ("open", "vitis")
AMD = ("xc7", "xcup", "versal")  # families that Vitis HLS builds for
MEASURED = "nextpnr 0.11.1, whole"  # the flow's name in a result
FEWEST_IMAGES = 8  # that show the pace of a full pipeline


@dataclass(frozen=True, slots=True)
class Wish:
    """Where a design is to be built: names, or those that follow from the run and the device."""

    flow: str = "open"
    device: str | None = None
    board: str | None = None
    images: int = 100  # that are simulated

    def __post_init__(self) -> None:
        if self.flow not in FLOWS:
            raise ValueError(f"no flow {self.flow!r} builds; known: {', '.join(FLOWS)}")
        if self.images < FEWEST_IMAGES:
            raise ValueError(f"a build simulates at least {FEWEST_IMAGES} images, not {self.images}")


def build(path: Path, name: str, wish: Wish, out: Path, cache: Path) -> tables.Table:
    """Builds a design of the run in `path` into the folder `out`, and keeps what was measured in the run."""
    result, part = runs.load(path), study.load(path / "study.toml")
    if wish.flow == "vitis":
        return _vitis(part, result, runs.pick(result, name), wish, out)
    made = _made(part, result, runs.pick(result, name), wish, cache)
    deliver(out, contents(made, cache), facts(made))
    kept = _with(runs.load(path), made)
    runs.keep(kept, path)
    write_report(kept, path)
    return _summary(made, out)


def verify(folder: Path) -> tables.Table:
    """Holds the netlist of a build against its design, layer by layer."""
    found = verify_folder(folder)
    columns = ("layer", "what", "in the hardware", "in the design")
    rows = [(one.layer, one.what, one.there, one.wanted) for one in found]
    return tables.of(
        f"{folder} is the hardware of its design", columns, rows, f"{len(found)} of {len(found)} are equal"
    )


# ---- the steps -----------------------------------------------------------------------------------


def _made(part: Study, result: Result, trial: Trial, wish: Wish, cache: Path) -> Made:
    one = _board(part, wish)
    target, model, chosen = fpga(one.device), part.target.model, trial.evaluation.design
    if not isinstance(model, Dataflow):
        raise ValueError(f"cost model {model.name!r} has no units to build; use dataflow")
    bench, data = runs.bench_and_data(part)
    network = lower(bench, chosen)
    predicted = model.cost(network.workload, network.design, target, one.clock_mhz)
    _check_fits(result, trial, predicted, model, target)
    images, labels = next(data.test.batches(wish.images))
    equality = compare(bench, chosen, network, images)
    _say(f"{equality.codes:,} codes are compared with Brevitas's; the queues are sized by simulation")
    assembly = assemble(network, model.elements(network.workload, network.design, target), target, cache)
    codes = input_codes(network, images)
    queue = board_top.queue_bytes(host.image_bytes(network, assembly.accelerator), target)
    flow = Bitstream(one.name, queue)
    plan = flow.plan(assembly.accelerator.netlist, target)
    with beside(plan, cache, flow.programs()) as finished:
        proof = prove(assembly, codes, cache)
        _check_equal(equality, proof)
        _say(f"{proof.sums:,} sums are simulated; yosys and nextpnr take minutes")
        try:
            folder = finished()
        except BuildError as error:
            raise BuildError(f"{error}. {_advice(result, model, target)}") from None
    accuracy = next((a for a in trial.evaluation.accuracies if a.split == "test"), trial.evaluation.accuracies[0])
    return Made(
        study=result.study,
        trial=trial.number,
        network=result.workload.name,
        chosen=chosen,
        assembly=assembly,
        board=one,
        flow=flow,
        plan=plan,
        folder=folder,
        measured=flow.read(folder),
        predicted=predicted,
        equality=equality,
        proof=proof,
        accuracy=accuracy,
        images=tuple(tuple(map(float, image)) for image in images.flatten(1).tolist()),
        labels=tuple(map(int, labels.tolist())),
        codes=codes,
        expected=assembly.packed(simulate(network, codes).sums),
    )


def _vitis(part: Study, result: Result, trial: Trial, wish: Wish, out: Path) -> tables.Table:
    """Writes the design as a Vitis HLS project, which no tool here synthesises."""
    target, chosen = fpga(wish.device or part.target.device), trial.evaluation.design
    if target.family not in AMD or wish.board is not None:
        known = ", ".join(name for name in devices() if fpga(name).family in AMD)
        raise ValueError(
            f"Vitis HLS builds for a device of AMD, without a board, not for {target.name!r}; known: {known}"
        )
    bench, data = runs.bench_and_data(part)
    network = lower(bench, chosen)
    images, _ = next(data.test.batches(wish.images))
    equality, codes = compare(bench, chosen, network, images), input_codes(network, images)
    _check_codes(equality)
    part_of = vitis.Part(target.part, 1e3 / result.clock_mhz)
    found = vitis.project(network, part_of, codes, simulate(network, codes).sums)
    files = {**dict(found), DESIGN: network.design.text.encode()}
    layers = [asdict(place) for place in places(network, chosen)]
    told = {"study": result.study, "trial": trial.number, "chosen": chosen.digest, "layers": layers}
    seen = vitis_simulation.simulate(found)
    told |= {"hardware": CALLS, "part": target.part, "equality": asdict(equality), "simulated": seen}
    deliver(out, files, told)
    rows: list[tuple[tables.Cell, ...]] = [(name, len(content)) for name, content in sorted(files.items())]
    said = f"C simulation by g++: {seen}" if seen else f"Not simulated, for want of {vitis_simulation.WANTED}"
    note = f"{said}. sh run.sh csim simulates the C++, sh run.sh synth makes RTL; see README.md."
    return tables.of(f"trial {trial.number} of {result.study} for {target.part}: {out}", ("file", "bytes"), rows, note)


def _board(part: Study, wish: Wish) -> Board:
    """The board that is wished for, or the one for the device, or for that of the study."""
    if wish.board is None:
        return board_of(wish.device or part.target.device)
    one = board(wish.board)
    if wish.device not in (None, one.device):
        raise ValueError(f"board {one.name!r} carries device {one.device!r}, not {wish.device!r}")
    return one


def _check_fits(result: Result, trial: Trial, predicted: FpgaCost, model: Dataflow, target: FpgaTarget) -> None:
    """ValueError where even the least that a design is predicted to take is more than there is."""
    least, _ = predicted.bounds
    for use, low in zip(uses(predicted.area, target), uses(least, target), strict=False):
        if low.used > low.available:
            more = (
                f"{use.used:,} {use.name} of the {use.available:,} on {target.name}, {100 * (use.share - 1):.0f} % more"
            )
            raise ValueError(
                f"trial {trial.number} is predicted to need {more} than fits. {_advice(result, model, target)}"
            )


def _advice(result: Result, model: Dataflow, target: FpgaTarget) -> str:
    """The most accurate design of the front that fits, in a sentence."""
    fitting = [trial for trial in map(result.trial, result.front) if _fits(result, trial, model, target)]
    if not fitting:
        return f"No design of the front is predicted to fit {target.name}"
    best = max(fitting, key=lambda trial: trial.evaluation.accuracy("search").top1)
    top1 = 100 * best.evaluation.accuracy("search").top1
    return f"Of the front trial {best.number} is predicted to fit, with a top-1 of {top1:.2f} % on the search split"


def _fits(result: Result, trial: Trial, model: Dataflow, target: FpgaTarget) -> bool:
    design = trial.evaluation.design
    cost = model.cost(result.workload, design, target, result.clock_mhz)
    return all(use.share <= 1 for use in uses(cost.area, target))


def _check_equal(equality: Compared, proof: Proof) -> None:
    """BuildError where the hardware is not the model, which would be an error of hwdse."""
    _check_codes(equality)
    if proof.wrong:
        raise BuildError(f"{proof.wrong} of {proof.sums} simulated sums are wrong")


def _check_codes(equality: Compared) -> None:
    if equality.in_float64 or equality.unexplained:
        wrong = equality.in_float64 + equality.unexplained
        raise BuildError(f"{wrong} of {equality.codes} codes differ from Brevitas's without a reason")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# ---- what is kept and shown ----------------------------------------------------------------------


def _with(result: Result, made: Made) -> Result:
    """The result with the measured cost of the trial, in place of an older one by the same flow."""
    trial = result.trial(made.trial)
    name = f"{MEASURED} on {made.board.name}"
    layer = LayerCost("whole", (Term("placed", made.measured.area),), made.assembly.cycles, 0)
    clock = made.board.clock_mhz if made.measured.mhz is None else made.measured.mhz
    calibration = "placed and routed as a whole, with the serial line to the host"
    cost = FpgaCost((layer,), made.assembly.cycles, made.proof.latency, clock, made.board.device, name, calibration)
    others = tuple(old for old in trial.evaluation.measured if old.model != name)
    own = replace(trial, evaluation=replace(trial.evaluation, measured=(*others, cost)))
    return replace(result, trials=tuple(own if old.number == own.number else old for old in result.trials))


def _summary(made: Made, out: Path) -> tables.Table:
    target, clock = fpga(made.board.device), made.predicted.clock
    pairs = zip(uses(made.predicted.area, target), uses(made.measured.area, target), strict=False)
    rows: list[tuple[tables.Cell, ...]] = [
        (one.name, one.used, two.used, f"{100 * (one.used / two.used - 1):+.1f} %" if two.used else "", two.available)
        for one, two in pairs
    ]
    mhz = made.measured.mhz
    rows.append(("MHz", None if clock is None else round(clock.mhz, 1), mhz, "", made.board.clock_mhz))
    cycles = " or ".join(map(str, made.proof.cycles))
    rows.append(("cycles an image", made.proof.predicted, cycles, "", None))
    verdict = "" if made.met else f"THE CLOCK OF {made.board.clock_mhz:g} MHz IS MISSED: it reaches {mhz:.1f} MHz.\n"
    note = (
        f"{verdict}{made.proof.sums:,} sums of {made.proof.images} images are equal in Verilator; the deepest queue "
        f"holds {made.assembly.deepest} beats. Placed: with a serial line.\n{out / SYNTH / made.bitstream}"
    )
    title = f"trial {made.trial} of {made.study} on {made.board.name}"
    return tables.of(title, ("", "predicted", "placed", "error", "available"), rows, note)
