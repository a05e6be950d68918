"""Where designs are priced: a device with its cost model, and how the network runs there."""

from dataclasses import dataclass, field

from hwdse.cost import FpgaCost, GpuCost
from hwdse.cost_model import FpgaCostModel, GpuCostModel, Run
from hwdse.design import Design
from hwdse.target import FpgaTarget, GpuTarget
from hwdse.workload import Workload


@dataclass(frozen=True)
class OnFpga:
    """A part at a clock."""

    model: FpgaCostModel
    target: FpgaTarget
    clock_mhz: float  # assumed

    def cost(self, workload: Workload, design: Design) -> FpgaCost:
        """What `design` costs, which is folded; ValueError where it has no price."""
        return self.model.cost(workload, design, self.target, self.clock_mhz)


@dataclass(frozen=True)
class OnGpu:
    """A GPU that runs batches."""

    model: GpuCostModel
    target: GpuTarget
    run: Run = field(default_factory=Run)

    def cost(self, workload: Workload, design: Design) -> GpuCost:
        """What `design` costs; ValueError where it has no price."""
        return self.model.cost(workload, design, self.target, self.run)


Where = OnFpga | OnGpu
