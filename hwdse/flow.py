"""The contract of a tool flow: a pure plan for a netlist on a device, and a pure reading of what came out.

A flow is one file in `hwdse/flows/`, found by its file name; its settings are its fields. `hwdse.build` runs the plan.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from hwdse.build import BuildPlan, Programs
from hwdse.cost import Resources
from hwdse.netlist import Netlist
from hwdse.target import FpgaTarget


@dataclass(frozen=True, slots=True)
class Measured:
    """What a tool found: area as it counts it, and the clock where it has one."""

    area: Resources
    mhz: float | None  # nothing where the flow does not place and route
    counted: str  # `netlist`, after synthesis, or `placed`
    cells: tuple[tuple[str, int], ...]  # (type, count), by type


@dataclass(frozen=True)
class Flow(ABC):
    """Turns a netlist into measured area and clock."""

    @abstractmethod
    def claims(self, target: FpgaTarget) -> bool:
        """Whether it has tools for `target`."""

    @abstractmethod
    def plan(self, netlist: Netlist, target: FpgaTarget) -> BuildPlan:
        """What to run, equal for equal arguments, without a tool on this machine; ValueError where not claimed."""

    @abstractmethod
    def read(self, folder: Path) -> Measured:
        """What a finished run in `folder` found; ValueError where it cannot be read."""

    @abstractmethod
    def programs(self) -> Programs:
        """Where its tools are on this machine; ValueError that says what to install."""
