"""What a calibration runs where: the built-in campaign, and one for any device.

A table holds one family as one flow counts it; devices of a family share its sample.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hwdse.calibration.sample import KINDS, Point, points
from hwdse.flow import Flow
from hwdse.flows.nextpnr import Nextpnr
from hwdse.flows.yosys import Yosys
from hwdse.target import devices, fpga

SEED = 0  # of the samples

# Matrix-vector units for each device of the built-in campaign: half of the work, each takes ten times a small unit's.
MATRICES = {
    "ecp5_25f": 440,  # LUT4, DSP and RAM in LUTs, and open place and route: what every error is stated for
    "u250": 310,  # LUT6: the AMD families
    "ice40_hx8k": 130,  # LUT4 without DSP and RAM in LUTs
    "lifcl40": 110,  # LUT4s like those of ECP5, with other DSPs
    "gw1nr9": 110,  # LUT4s without chains of two bits
    "xc7z020": 30,  # LUT6 like those of UltraScale+, with other RAM in LUTs: a check
}
# Other units: 42 of each kind, of which a tenth outside an interval are four, not one; of the check few.
OTHERS = 42 * KINDS
RUNS = {name: few + (30 if name == "xc7z020" else OTHERS) for name, few in MATRICES.items()}
# Placed as well, with the same units in a smaller sample: a place and route takes ten times the time of a synthesis,
# and what it adds to the netlist is a few numbers.
PLACED_RUNS = {"ecp5_25f": 160, "ice40_hx8k": 120, "lifcl40": 100, "gw1nr9": 80}
OTHER_RUNS = 220  # of a device that is in no list
OTHER_PLACED_RUNS = 60


@dataclass(frozen=True, slots=True)
class Job:
    """The units of one device in one table; ValueError where no open tool has the device."""

    device: str
    runs: int
    flow: Flow
    counted: str  # `netlist` or `placed`
    matrices: int | None = None  # of the runs; half if None

    def __post_init__(self) -> None:
        if self.runs < 1:
            raise ValueError(f"a calibration has at least one run, not {self.runs}")
        if not self.flow.claims(fpga(self.device)):
            known = ", ".join(name for name in devices() if self.flow.claims(fpga(name)))
            raise ValueError(f"no open tool gives the {self.counted} counts of {self.device!r}; known: {known}")

    @property
    def table(self) -> str:
        """The name of its table's file."""
        return table(fpga(self.device).family, self.counted)

    @property
    def points(self) -> tuple[Point, ...]:
        """Its sample."""
        return points(fpga(self.device), self.runs, SEED, self.matrices)


def table(family: str, counted: str) -> str:
    """The name of a table's file."""
    return f"{family}.{counted}.csv"


def jobs(names: Sequence[str] = (), runs: int | None = None, *, placed: bool = False) -> tuple[Job, ...]:
    """The jobs for the devices `names`, the built-in campaign if none; `runs` for each in place of those above."""
    known, other = (PLACED_RUNS, OTHER_PLACED_RUNS) if placed else (RUNS, OTHER_RUNS)
    flow, counted = (Nextpnr(), "placed") if placed else (Yosys(), "netlist")
    matrices = MATRICES if runs is None and not placed else {}
    return tuple(
        Job(name, known.get(name, other) if runs is None else runs, flow, counted, matrices.get(name))
        for name in dict.fromkeys(names or known)
    )
