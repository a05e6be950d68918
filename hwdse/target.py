"""Where a design runs, and how much of it a design takes.

Every number of a device comes from the data sheet its file cites.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cache

from hwdse.cost import Resources
from hwdse.described import Folder


@dataclass(frozen=True, slots=True)
class FpgaTarget:
    """One FPGA part, from `cost_models/devices/<name>.toml`."""

    name: str
    part: str
    family: str  # the flow's name: xc7, xcup, versal, ecp5
    luts: int
    lut_inputs: int  # of one LUT as counted in `luts`
    ffs: int
    brams: int  # blocks of `bram_kib`
    bram_kib: int
    dsps: int
    urams: int  # of 288 Kib
    dsp: str  # dsp48e1, dsp48e2, dsp58, mult18x18d
    source: str  # document, table and revision

    def __post_init__(self) -> None:
        for name, value in _numbers(self, "a device"):
            if value < 0:
                raise ValueError(f"a device's {name!r} is not negative, unlike {value}")
        if self.lut_inputs not in (4, 6):
            raise ValueError(f"a device's 'lut_inputs' is 4 or 6, not {self.lut_inputs}")


@dataclass(frozen=True, slots=True)
class GpuTarget:
    """One GPU, from `cost_models/gpus/<name>.toml`: what its data sheet says, dense, at the boost clock."""

    name: str
    part: str  # the product and its form factor
    architecture: int  # compute capability: 90 is sm_90
    sms: int  # streaming multiprocessors
    boost_mhz: int
    memory_gb: float  # 1e9 bytes
    memory_gb_per_second: float
    l2_mb: float  # 1e6 bytes
    shared_kib: int  # of an SM, that one program may have
    fp16_tflops: float  # of the tensor cores, sums in float32; bfloat16 has the same
    fp8_tflops: float  # 0: it has none
    int8_tops: float
    source: str  # document, table and revision

    def __post_init__(self) -> None:
        for name, value in _numbers(self, "a GPU"):
            if value < 0 or (value == 0 and name != "fp8_tflops"):
                raise ValueError(f"a GPU's {name!r} is positive, unlike {value}")


Device = FpgaTarget | GpuTarget


def _numbers(device: Device, what: str) -> Iterator[tuple[str, int | float]]:
    """The fields that are numbers; ValueError where a file has something of another type."""
    for field in fields(device):
        value: object = getattr(device, field.name)
        if field.type is str and not isinstance(value, str):
            raise ValueError(f"{what}'s {field.name!r} is a text, not {value!r}")
        if field.type is int and (isinstance(value, bool) or not isinstance(value, int)):
            raise ValueError(f"{what}'s {field.name!r} is a whole number, not {value!r}")
        if field.type is float and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise ValueError(f"{what}'s {field.name!r} is a number, not {value!r}")
        if isinstance(value, int | float):
            yield field.name, value


def kind(target: Device) -> str:
    """`FPGA` or `GPU`."""
    return "FPGA" if isinstance(target, FpgaTarget) else "GPU"


@dataclass(frozen=True, slots=True)
class Use:
    """How much of one resource of a device is taken."""

    name: str
    used: int
    available: int

    @property
    def share(self) -> float:
        """1 is all of it; infinite where the device has none and some is used."""
        if self.used == 0:
            return 0.0
        return self.used / self.available if self.available else math.inf


def uses(area: Resources, target: FpgaTarget) -> tuple[Use, ...]:
    """Of every resource that the device has or the design needs."""
    return tuple(use for use in _all_uses(area, target) if use.used or use.available)


def side_by_side(areas: Sequence[Resources], target: FpgaTarget) -> tuple[tuple[Use, ...], ...]:
    """For every resource that the device has or one of `areas` needs: how much each of them takes."""
    rows = zip(*(_all_uses(area, target) for area in areas), strict=True)
    return tuple(row for row in rows if any(use.used or use.available for use in row))


def _all_uses(area: Resources, target: FpgaTarget) -> tuple[Use, ...]:
    return (
        Use("LUT", area.luts, target.luts),
        Use("FF", area.ffs, target.ffs),
        Use("DSP", area.dsps, target.dsps),
        Use(f"BRAM{target.bram_kib}", area.brams, target.brams),
        Use("URAM", area.urams, target.urams),
    )


_DEVICES = Folder(
    "hwdse.cost_models",
    "devices",
    "device",
    tuple(field.name for field in fields(FpgaTarget) if field.name != "name"),
    lambda name, values: FpgaTarget(name, **values),
)


_GPUS = Folder(
    "hwdse.cost_models",
    "gpus",
    "GPU",
    tuple(field.name for field in fields(GpuTarget) if field.name != "name"),
    lambda name, values: GpuTarget(name, **values),
)


def devices() -> tuple[str, ...]:
    """The names of all FPGAs."""
    return _DEVICES.names


def gpus() -> tuple[str, ...]:
    """The names of all GPUs."""
    return _GPUS.names


@cache
def device(name: str) -> Device:
    """The FPGA or GPU called `name`; ValueError lists the known ones, or names the file that is wrong."""
    if name in gpus():
        return gpu(name)
    if name not in devices():
        raise ValueError(f"no device {name!r}; known: {', '.join((*devices(), *gpus()))}")
    return fpga(name)


@cache
def gpu(name: str) -> GpuTarget:
    """The GPU called `name`; ValueError that names its file where the file is no GPU."""
    return _GPUS.read(name)


@cache
def fpga(name: str) -> FpgaTarget:
    """The part called `name`; ValueError that names its file where the file is no device."""
    if name not in devices() and name in gpus():
        raise ValueError(f"{name!r} is a GPU, and an FPGA is wanted; known: {', '.join(devices())}")
    return _DEVICES.read(name)
