"""What a build with FINN takes of the device of its board, and the rate that it reaches, in words."""

from hwdse.cost import Resources
from hwdse.finn.messages import Priced
from hwdse.target import devices, fpga, side_by_side


def device_of(part: str) -> str | None:
    """The device of hwdse with the same die as `part` of AMD, whatever its package; None where there is none."""
    return next((name for name in devices() if die(fpga(name).part) == die(part)), None)


def die(part: str) -> str:
    """`xczu3eg` of `xczu3eg-sbva484-1-e`; in a name of 7 series the package follows without a hyphen."""
    first = part.split("-")[0]
    return first[: len("xc7z020")] if first.startswith("xc7") else first


def fit(part: str, priced: Priced) -> str:
    """How much of `part` the estimates take, without FINN's shell, and whether that is there."""
    device = device_of(part)
    if device is None:
        return f"How much {part} has is not known, so that nothing is said of whether it fits."
    area = Resources(
        luts=sum(unit.luts for unit in priced.units),
        dsps=sum(unit.dsps for unit in priced.units),
        brams=sum(unit.bram18s for unit in priced.units),
        urams=sum(unit.urams for unit in priced.units),
    )
    uses = [use for (use,) in side_by_side((area,), fpga(device)) if use.used]
    taken = ", ".join(f"{use.used:,} of {use.available:,} {use.name}" for use in uses)
    over = " and ".join(use.name for use in uses if use.used > use.available)
    verdict = f" IT DOES NOT FIT {device}: there is too little {over}." * bool(over)
    return f"By these estimates it takes {taken or 'nothing'} of {device}, without FINN's shell.{verdict}"


def pace(clock_mhz: float, priced: Priced, asked: float) -> str:
    """That the rate that was asked for is missed, in images a second; '' where it is reached."""
    reached = clock_mhz * 1e6 / priced.interval_cycles
    return "" if reached >= asked else f"THE RATE IS MISSED: it reaches {reached:,.1f} of {asked:,.1f} images/s."


def other_device(part: str, device: str) -> str:
    """That the board with `part` carries another device than `device` of the study; '' where it does not."""
    if device_of(part) == device:
        return ""
    return f"The study is about {device} ({fpga(device).part}), and the board has {part}."
