"""The yosys script of a netlist, one for each FPGA family, and the files that it reads.

A leaf module that `hls_templates/yosys` has too is read from there: the explicit adder is a cell there that yosys
does not merge into sums of its own, so that its size is that of the chain, whatever the version. Memories are mapped
as the RTL's attributes say.
"""

from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files as folder_of
from typing import Literal

from hwdse.target import FpgaTarget

YOSYS = "0.70"  # another one gives other counts
INSTALL = "pip install 'hwdse[synthesis]'"

# How yosys' last step maps logic to LUTs, for all families: `speed` is its default, the fewest levels; `area` the
# fewest LUTs, levels second, which on ECP5 takes a third less of them at 0 to 25 % less clock.
Goal = Literal["area", "speed"]
_GOALS: dict[Goal, tuple[str, ...]] = {
    "area": ("scratchpad -set abc9.script +&dch,-f;&if,-a,{C},{W},{D},{R};&mfs",),
    "speed": (),
}
_OWN = folder_of("hwdse.hls_templates") / "yosys"
Files = tuple[tuple[str, bytes], ...]  # (name, content)
FAMILIES = ("xc7", "xcup", "ecp5", "ice40", "nexus", "gowin")


def installed(wheel: str) -> str | None:
    """The version of a wheel on this machine."""
    try:
        return version(wheel)
    except PackageNotFoundError:
        return None


def require(wheel: str, wanted: str) -> None:
    """ValueError that says what to install where a wheel is missing or another one: it would give other numbers."""
    found = installed(wheel)
    if found != wanted:
        what = "which is not installed" if found is None else f"not {found}"
        raise ValueError(f"{wheel} {wanted} is needed, {what}: {INSTALL}")


def synthesis(target: FpgaTarget, *, dsp: bool, pads: bool = False) -> str:
    """The command that maps to the primitives of `target`: with DSPs or without, with pins or without."""
    match target.family:
        case "xc7" | "xcup":
            return _join(f"synth_xilinx -family {target.family} -flatten -noclkbuf -noiopad", "" if dsp else "-nodsp")
        case "ecp5":
            return _join("synth_ecp5", "" if dsp else "-nodsp")
        case "ice40":
            ultra_plus = target.dsps > 0
            return _join(f"synth_ice40 -device {'u' if ultra_plus else 'hx'}", "-dsp" if dsp and ultra_plus else "")
        case "nexus":
            return _join("synth_lattice -family lifcl", "" if dsp else "-nodsp", "" if pads else "-noiopad")
        case "gowin":
            return _join("synth_gowin", "" if dsp else "-nodsp", "" if pads else "-noiopads")
    raise ValueError(f"no yosys script for family {target.family!r}; known: {', '.join(FAMILIES)}")


def inputs(files: Files, target: FpgaTarget) -> Files:
    """The files of a design as yosys reads them, and its family, by which a flow reads the result."""
    sources = ((name, (_OWN / name).read_bytes() if _is_own(name) else content) for name, content in files)
    return (*sources, ("family", f"{target.family}\n".encode()))


def script(
    files: Files,
    target: FpgaTarget,
    *,
    dsp: bool,
    goal: Goal,
    output: str,
    top: str = "top",
    pads: bool = False,
    primitives: tuple[str, ...] = (),
) -> bytes:
    """Maps module `top` of `files`, in the file of its name, to the primitives of `target` and writes it to `output`.

    `pads`: its ports are pins; `primitives`: files with the ports of those that `files` name.
    """
    leaves = (name for name, _ in files if name.endswith(".sv") and name != f"{top}.sv")
    read = [
        # Deferred: made with the parameters of their users. `-icells`: with cells of yosys in them.
        *(f"read_verilog -sv -defer {'-icells ' if _is_own(name) else ''}{name}" for name in leaves),
        *(f"read_verilog -lib {name}" for name in primitives),
        f"read_verilog -sv {top}.sv",
    ]
    return "\n".join([*read, *mapping(target, dsp=dsp, goal=goal, output=output, top=top, pads=pads), ""]).encode()


def mapping(
    target: FpgaTarget,
    *,
    dsp: bool,
    goal: Goal,
    output: str,
    top: str = "top",
    pads: bool = False,
    last: tuple[str, ...] = (),
) -> list[str]:
    """The commands that map module `top`, which has been read, and write it; `last`: on what is mapped already."""
    if goal not in _GOALS:
        raise ValueError(f"yosys maps for {' or '.join(_GOALS)}, not for {goal!r}")
    return [
        f"hierarchy -check -top {top}",
        "proc; opt_clean",
        # An iCE40 has no RAM in LUTs: yosys then takes block RAM or registers, by size.
        *["setattr -unset ram_style a:ram_style=distributed"] * (target.family == "ice40"),
        *_GOALS[goal],
        f"{synthesis(target, dsp=dsp, pads=pads)} -top {top}",
        *last,
        "delete t:$scopeinfo",
        f"select {top}",
        f"write_json -selected {output}",
    ]


def _is_own(name: str) -> bool:
    return (_OWN / name).is_file()


def _join(*words: str) -> str:
    return " ".join(word for word in words if word)
