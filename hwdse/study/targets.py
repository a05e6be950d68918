"""The `[target]` section of a study: an FPGA or a GPU, each with its own keys, and the model that prices designs on it.

Several `[[target]]` sections are as many searches of the same designs, side by side.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    PositiveFloat,
    PositiveInt,
    Tag,
    model_validator,
)

from hwdse import cost_model
from hwdse.cost_model import FpgaCostModel, GpuCostModel, Run
from hwdse.study.section import Section
from hwdse.target import FpgaTarget, GpuTarget, device, devices, fpga, gpu, gpus
from hwdse.where import OnFpga, OnGpu

OWN = {"FPGA": ("clock_mhz", "frames_per_second", "folding"), "GPU": ("batch", "tokens")}  # keys of each kind
SHARED = ("cost_model", "cost_settings")


def _setting(value: object) -> object:
    if not isinstance(value, int | float | str):
        raise ValueError(f"a setting is a number, text or bool, not {value!r}")
    return value


def _device(name: str) -> str:
    return device(name).name


Setting = Annotated[int | float | str | bool, BeforeValidator(_setting)]
DeviceName = Annotated[str, AfterValidator(_device)]


class _Kind(Section):
    """What both kinds have; a key of the other one is refused."""

    kind: ClassVar[str]

    @model_validator(mode="before")
    @classmethod
    def _of_one_kind(cls, data: object) -> object:
        if not isinstance(data, Mapping):
            return data  # which is refused as no table
        name = data.get("device")
        if name not in (*devices(), *gpus()):  # it is refused by its device: nobody knows which keys that has
            return {key: value for key, value in data.items() if key == "device"}
        for key in (key for owner, keys in OWN.items() if owner != cls.kind for key in keys):
            if key in data:
                known = ", ".join(("device", *OWN[cls.kind], *SHARED))
                raise ValueError(
                    f"{key!r} is no key of a{'n' * (cls.kind == 'FPGA')} {cls.kind}, which {name!r} is; known: {known}"
                )
        return data


class FpgaSection(_Kind):
    """A part, its clock, the frame rate that sets the folding, and the cost model that prices designs."""

    kind = "FPGA"
    device: DeviceName
    clock_mhz: PositiveFloat
    frames_per_second: PositiveFloat
    folding: Literal["greedy", "optimal"] = "greedy"  # fewest lanes, for all designs; or `hwdse.foldings`, for each
    cost_model: str = "dataflow"
    cost_settings: dict[str, Setting] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _valid(self) -> Self:
        model, target = self.model, self.fpga
        if not model.claims(target):
            raise ValueError(f"cost model {model.name!r} does not price device {target.name!r}")
        if self.folding == "optimal" and self.cost_model != "dataflow":
            raise ValueError(f"folding 'optimal' is among what 'dataflow' offers, not cost model {self.cost_model!r}")
        return self

    @property
    def cycles_per_frame(self) -> int:
        """At most, at the clock and the rate."""
        return int(self.clock_mhz * 1e6 / self.frames_per_second)

    @property
    def fpga(self) -> FpgaTarget:
        """The device as a value."""
        return fpga(self.device)

    @property
    def model(self) -> FpgaCostModel:
        """The cost model with its settings; ValueError for a setting that it does not have."""
        return cost_model.for_fpgas(self.cost_model, self.cost_settings)

    @property
    def where(self) -> OnFpga:
        """What prices designs."""
        return OnFpga(self.model, self.fpga, self.clock_mhz)

    @property
    def apart(self) -> str:
        """What tells it from others on the same device."""
        return f"{self.clock_mhz:g}mhz-{self.frames_per_second:g}fps"


class GpuSection(_Kind):
    """A GPU, how many frames run together, and the cost model that prices designs."""

    kind = "GPU"
    device: DeviceName
    batch: PositiveInt = 1
    tokens: Literal["all", "one"] = "all"  # of a text: of a whole sequence, or decoding, one after the other
    cost_model: str = "gpu"
    cost_settings: dict[str, Setting] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _valid(self) -> Self:
        if not self.model.claims(self.gpu):
            raise ValueError(f"cost model {self.model.name!r} does not price device {self.device!r}")
        return self

    @property
    def gpu(self) -> GpuTarget:
        """The device as a value."""
        return gpu(self.device)

    @property
    def model(self) -> GpuCostModel:
        """The cost model with its settings; ValueError for a setting that it does not have."""
        return cost_model.for_gpus(self.cost_model, self.cost_settings)

    @property
    def run(self) -> Run:
        """How the network runs."""
        return Run(self.batch, self.tokens)

    @property
    def where(self) -> OnGpu:
        """What prices designs."""
        return OnGpu(self.model, self.gpu, self.run)

    @property
    def apart(self) -> str:
        """What tells it from others on the same device."""
        return f"batch{self.batch}" + "-one" * (self.tokens == "one")


def _kind(data: object) -> str:
    """Of an unknown device, an FPGA: it is refused by its name."""
    name = data.get("device") if isinstance(data, Mapping) else getattr(data, "device", None)
    return GpuSection.kind if name in gpus() else FpgaSection.kind


def _listed(value: object) -> object:
    return value if isinstance(value, tuple) else (value,)


Target = FpgaSection | GpuSection
_One = Annotated[
    Annotated[FpgaSection, Tag(FpgaSection.kind)] | Annotated[GpuSection, Tag(GpuSection.kind)], Discriminator(_kind)
]
Targets = Annotated[tuple[_One, ...], BeforeValidator(_listed), Field(min_length=1, alias="target")]


def labels(targets: Sequence[Target]) -> tuple[str, ...]:
    """The name of each: its device, and where that is there twice, how the network runs on it."""
    counts = Counter(target.device for target in targets)
    return tuple(t.device if counts[t.device] == 1 else f"{t.device}-{t.apart}" for t in targets)
