"""What `hwdse build` and `hwdse verify` do: from a design of a run to a folder with its hardware, and back."""

import sys
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from hwdse import board_top, finn_build, gpu_build, host, study, tables, vitis, vitis_simulation
from hwdse import run as runs
from hwdse.artifact import DESIGN
from hwdse.artifact import verify as verify_folder
from hwdse.assembly import assemble, prove
from hwdse.boards import Board, board, board_of
from hwdse.build import BuildError, OverfullError, beside
from hwdse.build_folder import SYNTH, Chosen, Made, contents, facts, origin
from hwdse.cost import FpgaCost, LayerCost, Term
from hwdse.cost_models.dataflow import Dataflow
from hwdse.data import Data
from hwdse.delivery import check_place, deliver
from hwdse.equality import compare, input_codes
from hwdse.evaluation import Built
from hwdse.finn_build import FinnWish
from hwdse.finn_folder import is_finn
from hwdse.fitting import Fitting
from hwdse.flows.bitstream import Bitstream
from hwdse.gpu_artifact import is_gpu
from hwdse.gpu_artifact import verify as verify_gpu
from hwdse.gpu_build import GpuWish
from hwdse.instances import CALLS
from hwdse.lower import lower
from hwdse.network import Network
from hwdse.proof import Proof
from hwdse.quantize import Bench
from hwdse.report import write as write_report
from hwdse.report.built import wall_time
from hwdse.report.quantities import error
from hwdse.result import Result, Trial
from hwdse.simulate import simulate
from hwdse.study import Study
from hwdse.target import devices, fpga, gpus, side_by_side

FLOWS = {  # -> images, where their number is not wished for
    "open": 100,
    "vitis": 100,
    "finn": finn_build.VERIFIED,
    "triton": gpu_build.COMPARED,
}
AMD = ("xc7", "xcup", "versal")  # families that Vitis HLS builds for
MEASURED = "nextpnr 0.11.1"  # the flow's name in a result
FEWEST_IMAGES = 8  # that show the pace of a full pipeline


@dataclass(frozen=True, slots=True)
class Wish:
    """Where a design is to be built: names, or those that follow from the run and the device."""

    flow: str = "open"
    device: str | None = None
    board: str | None = None
    images: int | None = None  # that are simulated, or verified by FINN
    frames_per_second: float | None = None  # of finn
    folding: str | None = None  # of finn
    batch: int | None = None  # of triton

    def __post_init__(self) -> None:
        if self.flow not in FLOWS:
            raise ValueError(f"no flow {self.flow!r} builds; known: {', '.join(FLOWS)}")
        if self.flow == "triton" and self.board is not None:
            raise ValueError(f"a GPU has no board, so that --board {self.board} is not for the flow 'triton'")
        if self.flow != "triton" and self.batch is not None:
            raise ValueError(f"--batch is for a GPU, not for the flow {self.flow!r}")
        if self.flow != "finn" and not (self.frames_per_second is None is self.folding):
            raise ValueError(f"--fps and --folding are for FINN, not for the flow {self.flow!r}")
        if self.flow == "finn" and self.device is not None:
            raise ValueError(
                f"FINN builds for a board, which carries its device: give --board, not --device {self.device}"
            )
        if self.flow == "finn" and self.board is None:
            raise ValueError("a build with FINN is for a board: give --board, such as Pynq-Z1 or ZCU104")
        if self.flow != "triton" and self.device in gpus():
            raise ValueError(
                f"{self.device!r} is a GPU, for which the flow {self.flow!r} does not build: say --flow triton"
            )
        if self.flow in ("open", "vitis") and self.count < FEWEST_IMAGES:
            raise ValueError(f"a build simulates at least {FEWEST_IMAGES} images, not {self.count}")

    @property
    def count(self) -> int:
        """How many images."""
        return FLOWS[self.flow] if self.images is None else self.images


def build(path: Path, name: str, wish: Wish, out: Path, cache: Path) -> tables.Table:
    """Builds a design of the run in `path` into the folder `out`, and keeps what was measured in the run."""
    check_place(out.resolve())  # first: all that follows takes minutes
    finn_build.check_results(out)
    if wish.flow == "triton":
        return gpu_build.build(path, name, GpuWish(wish.device, wish.batch, wish.images), out)
    result, part = runs.load(path), study.load(path / "study.toml")
    _ = part.on_fpga  # all other flows are for FPGAs
    if wish.flow == "finn":
        return finn_build.build(path, name, _for_finn(wish), out)
    if wish.flow == "vitis":
        return _vitis(part, result, runs.pick(result, name), wish, out)
    made = _made(part, result, runs.pick(result, name), wish, cache)
    deliver(out, contents(made, cache), facts(made))
    kept = _with(runs.load(path), made)
    runs.keep(kept, path)
    write_report(kept, path)
    return _summary(made, out)


def verify(folder: Path) -> tables.Table:
    """Holds what a build computes against its design, layer by layer; of FINN's, runs the estimate part again."""
    if is_finn(folder):
        return finn_build.verify(folder)
    found = verify_gpu(folder) if is_gpu(folder) else verify_folder(folder)
    columns = ("layer", "what", "in the hardware", "in the design")
    rows = [(one.layer, one.what, one.there, one.wanted) for one in found]
    return tables.of(
        f"{folder} is the hardware of its design", columns, rows, f"{len(found)} of {len(found)} are equal"
    )


# ---- the steps -----------------------------------------------------------------------------------


def _made(part: Study, result: Result, trial: Trial, wish: Wish, cache: Path) -> Made:
    one = _board(part, wish)
    target, model = fpga(one.device), part.on_fpga.model
    if not isinstance(model, Dataflow):
        raise ValueError(f"cost model {model.name!r} has no units to build; use dataflow")
    bench, data = runs.bench_and_data(part)
    images, labels = _images(data, wish)
    network = lower(bench, trial.evaluation.design)
    predicted = model.cost(network.workload, network.design, target, one.clock_mhz)
    fitting = Fitting(result, model, target)
    fitting.check(trial, predicted)
    of = _chosen(result, trial, bench, network, images)
    _say(f"{of.equality.codes:,} codes are compared with Brevitas's; the queues are sized by simulation")
    assembly = assemble(network, model.elements(network.workload, network.design, target), target, cache)
    codes = input_codes(network, images)
    queue = board_top.queue_bytes(host.image_bytes(network, assembly.accelerator), target)
    flow = Bitstream(one.name, queue)
    plan = flow.plan(assembly.accelerator.netlist, target)
    with beside(plan, cache, flow.programs()) as finished:
        proof = prove(assembly, codes, cache)
        _check(proof)
        _say(f"{proof.sums:,} sums are simulated; yosys and nextpnr take minutes")
        try:
            folder = finished()
        except OverfullError as error:
            raise OverfullError(f"{error}. {fitting.advice(trial)}") from None
    measured = flow.read(folder)
    if measured.mhz is None:
        raise BuildError(f"nextpnr has found no clock in the design; see {folder}")
    accuracy = next((a for a in trial.evaluation.accuracies if a.split == "test"), trial.evaluation.accuracies[0])
    return Made(
        of=of,
        assembly=assembly,
        board=one,
        flow=flow,
        plan=plan,
        folder=folder,
        area=measured.area,
        mhz=measured.mhz,
        predicted=predicted,
        proof=proof,
        accuracy=accuracy,
        images=tuple(tuple(map(float, image)) for image in images.flatten(1).tolist()),
        labels=tuple(map(int, labels.tolist())),
        codes=codes,
        expected=assembly.packed(simulate(network, codes).sums),
    )


def _vitis(part: Study, result: Result, trial: Trial, wish: Wish, out: Path) -> tables.Table:
    """Writes the design as a Vitis HLS project, which no tool here synthesises."""
    target = fpga(wish.device or part.on_fpga.device)
    if target.family not in AMD or wish.board is not None:
        known = ", ".join(name for name in devices() if fpga(name).family in AMD)
        raise ValueError(
            f"Vitis HLS builds for a device of AMD, without a board, not for {target.name!r}; known: {known}"
        )
    bench, data = runs.bench_and_data(part)
    images, _ = _images(data, wish)
    network = lower(bench, trial.evaluation.design)
    of, codes = _chosen(result, trial, bench, network, images), input_codes(network, images)
    part_of = vitis.Part(target.part, 1e3 / result.clock)
    found = vitis.project(network, part_of, codes, simulate(network, codes).sums)
    files = {**dict(found), DESIGN: network.design.text.encode()}
    seen = vitis_simulation.simulate(found)
    told = {"part": part_of.name, "clock_ns": part_of.clock_ns, "simulated": seen, "tools": vitis_simulation.tools()}
    deliver(out, files, origin(of, CALLS, target.name) | told)
    rows: list[tuple[tables.Cell, ...]] = [(name, len(content)) for name, content in sorted(files.items())]
    said = f"C simulation by g++: {seen}" if seen else f"Not simulated, for want of {vitis_simulation.WANTED}"
    note = f"{said}. sh run.sh csim simulates the C++, sh run.sh synth makes RTL; see README.md."
    return tables.of(f"trial {trial.number} of {result.study} for {target.part}: {out}", ("file", "bytes"), rows, note)


def _for_finn(wish: Wish) -> FinnWish:
    assert wish.board is not None  # as was checked
    folding = "finn" if wish.folding is None else wish.folding
    return FinnWish(wish.board, wish.frames_per_second, folding, wish.count)


def _images(data: Data, wish: Wish) -> tuple[Tensor, Tensor]:
    """The first images of the test split, and their labels; ValueError where it has fewer than are wished for."""
    if wish.count > len(data.test):
        raise ValueError(f"a build simulates at most the {len(data.test)} images of the test split, not {wish.count}")
    return next(data.test.batches(wish.count))


def _chosen(result: Result, trial: Trial, bench: Bench, network: Network, images: Tensor) -> Chosen:
    """The trial as `network`; BuildError where codes are not Brevitas's, which would be an error of hwdse."""
    design = trial.evaluation.design
    equality = compare(bench, design, network, images)
    if wrong := equality.in_float64 + equality.unexplained:
        raise BuildError(f"{wrong} of {equality.codes} codes differ from Brevitas's without a reason")
    return Chosen(result.study, trial.number, design, network, equality)


def _board(part: Study, wish: Wish) -> Board:
    """The board that is wished for, or the one for the device, or for that of the study."""
    if wish.board is None:
        return board_of(wish.device or part.on_fpga.device)
    one = board(wish.board)
    if wish.device not in (None, one.device):
        raise ValueError(f"board {one.name!r} carries device {one.device!r}, not {wish.device!r}")
    return one


def _check(proof: Proof) -> None:
    """BuildError where the hardware is not the model, which would be an error of hwdse."""
    if proof.wrong:
        raise BuildError(f"{proof.wrong} of {proof.sums} simulated sums are wrong")
    if not proof.exact:
        found = " or ".join(map(str, proof.cycles))
        raise BuildError(f"an image takes {proof.predicted} cycles by the model, but {found} in simulation")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# ---- what is kept and shown ----------------------------------------------------------------------


def _with(result: Result, made: Made) -> Result:
    """The result with what was built, in place of an older build of the trial for the same board."""
    trial, board = result.trial(made.of.trial), made.board
    layer = LayerCost("whole", (Term("placed", made.area),), made.cycles, 0)
    calibration = "placed and routed as a whole, with the serial line to the host"
    where = (made.mhz, board.device, MEASURED, calibration)
    measured = FpgaCost((layer,), made.cycles, made.proof.latency, *where)
    built = Built(board.name, board.clock_mhz, made.predicted, measured, made.seconds)
    return result.having_built(trial, built)


def _summary(made: Made, out: Path) -> tables.Table:
    target, clock = fpga(made.board.device), made.predicted.clock
    rows: list[tuple[tables.Cell, ...]] = [
        (one.name, one.used, two.used, error(one.used, two.used), two.available)
        for one, two in side_by_side((made.predicted.area, made.area), target)
    ]
    rows.append(("MHz", None if clock is None else round(clock.mhz, 1), made.mhz, "", made.board.clock_mhz))
    rows.append(("cycles an image", made.proof.predicted, made.cycles, "", None))
    missed = f"THE CLOCK OF {made.board.clock_mhz:g} MHz IS MISSED: it reaches {made.mhz:.1f} MHz.\n"
    note = (
        f"{missed * (not made.met)}{made.proof.sums:,} sums of {made.proof.images} images are equal in Verilator; the "
        f"deepest queue holds {made.assembly.deepest} beats. Placed: with a serial line. {wall_time(made.seconds)}\n"
        f"{out / SYNTH / made.bitstream}"
    )
    title = f"trial {made.of.trial} of {made.of.study} on {made.board.name}"
    return tables.of(title, ("", "predicted", "placed", "error", "available"), rows, note)
