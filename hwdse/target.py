"""Where a design runs. Every number of a device comes from the data sheet its file cites."""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


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


def devices() -> tuple[str, ...]:
    """The names of all devices."""
    folder = files("hwdse.cost_models") / "devices"
    return tuple(sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml")))


@cache
def fpga(name: str) -> FpgaTarget:
    """The part called `name`."""
    if name not in devices():
        raise ValueError(f"no device {name!r}; known: {', '.join(devices())}")
    text = (files("hwdse.cost_models") / "devices" / f"{name}.toml").read_text()
    return FpgaTarget(name, **tomllib.loads(text))
