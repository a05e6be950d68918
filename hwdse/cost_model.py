"""The contract of a cost model: a pure function from (workload, design, device, how it runs) to a cost.

A model is one file in `cost_models/`, found by its file name (`finn-corrected` is `finn_corrected.py`); its fields are
its settings. It prices FPGAs, where area adds up and a clock sets the pace, or GPUs, where a batch takes its time.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Literal, TypeVar, get_args

from hwdse import plugins
from hwdse.cost import FpgaCost, GpuCost, LayerCost, dataflow
from hwdse.design import Design
from hwdse.energy import Stated
from hwdse.latency import latency_cycles
from hwdse.target import Device, FpgaTarget, GpuTarget
from hwdse.workload import OUTSIDE, Layer, Workload


@dataclass(frozen=True)
class CostModel(ABC):
    """What every cost model has, whatever the kind of its devices."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The one that it is found by, with the settings that are not the default."""

    @abstractmethod
    def claims(self, device: Device) -> bool:
        """Whether it prices designs on `device`."""


@dataclass(frozen=True)
class FpgaCostModel(CostModel):
    """Prices layers and composes them: one by one, or, where what a layer is made of is chosen, all together."""

    @abstractmethod
    def calibration(self, target: FpgaTarget) -> str:
        """How far to trust it on `target`, in words for a report; says 'uncalibrated' where it is."""

    @abstractmethod
    def layer(self, layer: Layer, design: Design, target: FpgaTarget) -> LayerCost:
        """The cost of one layer with the device to itself; ValueError that names the layer where it has no price."""

    def layers(self, workload: Workload, design: Design, target: FpgaTarget) -> tuple[LayerCost, ...]:
        """The cost of each layer in the accelerator; a model whose layers share what is scarce chooses here."""
        return tuple(self.layer(layer, design, target) for layer in self.inside(workload))

    def inside(self, workload: Workload) -> tuple[Layer, ...]:
        """The layers in the accelerator."""
        return tuple(layer for layer in workload.layers if self.prices(layer, workload))

    def latency(self, workload: Workload, design: Design, target: FpgaTarget, layers: Sequence[LayerCost]) -> int:
        """Cycles from the start of a frame to its last output; `layers` are those inside."""
        return latency_cycles(workload, layers)

    def stated(self, target: FpgaTarget) -> Stated | None:
        """By which model it says the energy of a frame on `target`; None, as here: it says nothing of it."""
        return None

    def cost(self, workload: Workload, design: Design, target: FpgaTarget, clock_mhz: float) -> FpgaCost:
        """The cost of the network: one engine per layer, layers outside the accelerator listed."""
        if not self.claims(target):
            raise ValueError(f"cost model {self.name!r} does not price device {target.name!r}")
        inside = self.layers(workload, design, target)
        outside = tuple(layer.name for layer in workload.layers if not self.prices(layer, workload))
        return dataflow(
            inside,
            clock_mhz=clock_mhz,
            device=target.name,
            model=self.name,
            calibration=self.calibration(target),
            outside=outside,
            latency_cycles=self.latency(workload, design, target, inside),
            stated=self.stated(target),
        )

    def prices(self, layer: Layer, workload: Workload) -> bool:
        """Whether `layer` is in the accelerator: without `hardware` only what multiplies is quantised, and priced."""
        return layer.kind not in OUTSIDE and (workload.hardware or layer.macs > 0)


Tokens = Literal["all", "one"]


@dataclass(frozen=True, slots=True)
class Run:
    """How a network runs on a GPU."""

    batch: int = 1  # frames, or sequences, that run together
    tokens: Tokens = "all"  # one: decoding, where every layer sees one token of a sequence

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise ValueError(f"a batch has at least 1 frame, not {self.batch}")
        if self.tokens not in get_args(Tokens):
            raise ValueError(f"tokens are {' or '.join(get_args(Tokens))}, not {self.tokens!r}")


@dataclass(frozen=True)
class GpuCostModel(CostModel):
    """Prices the products of a network, one kernel after the other."""

    @abstractmethod
    def calibration(self, target: GpuTarget) -> str:
        """How far to trust it on `target`, in words for a report; says 'uncalibrated' where it is."""

    @abstractmethod
    def cost(self, workload: Workload, design: Design, target: GpuTarget, run: Run) -> GpuCost:
        """The cost of a batch; layers outside are listed; ValueError names a layer that has no price."""


Model = TypeVar("Model", bound=CostModel)
Settings = Mapping[str, str | int | float | bool]


def named(name: str, settings: Settings) -> CostModel:
    """The cost model called `name`; ValueError for one that there is not, or a setting that it does not have."""
    contract: type[CostModel] = CostModel  # type: ignore[type-abstract]  # its subclasses are not
    found = plugins.named("hwdse.cost_models", contract, name)
    known = [field.name for field in fields(found)]
    for setting in settings:
        if setting not in known:
            raise ValueError(f"no setting {setting!r} of cost model {name!r}; known: {', '.join(known) or 'none'}")
    return found(**settings)


def for_fpgas(name: str, settings: Settings) -> FpgaCostModel:
    """The same of the models that price FPGAs."""
    return _of_kind(name, settings, FpgaCostModel, "FPGAs")  # type: ignore[type-abstract]  # its subclasses are not


def for_gpus(name: str, settings: Settings) -> GpuCostModel:
    """The same of the models that price GPUs."""
    return _of_kind(name, settings, GpuCostModel, "GPUs")  # type: ignore[type-abstract]  # its subclasses are not


def _of_kind(name: str, settings: Settings, kind: type[Model], devices: str) -> Model:
    found = named(name, settings)
    if not isinstance(found, kind):
        contract: type[CostModel] = CostModel  # type: ignore[type-abstract]  # its subclasses are not
        models = plugins.load("hwdse.cost_models", contract).items()
        known = ", ".join(other for other, model in models if issubclass(model, kind))
        raise ValueError(f"cost model {name!r} does not price {devices}; known: {known}")
    return found
