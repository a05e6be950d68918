"""Boards that one can buy: which device they carry, and which of its pins are the clock and the serial line.

Every pin comes from the source that its file cites.
"""

from dataclasses import dataclass, fields
from functools import cache
from typing import Any

from hwdse.described import Folder
from hwdse.target import devices, fpga


@dataclass(frozen=True, slots=True)
class Board:
    """One board, from `hls_templates/boards/<name>.toml`."""

    name: str
    device: str  # of `cost_models/devices`
    part: str  # with the package that is on the board
    default: bool  # the one that is meant where only the device is named
    clock_mhz: float  # that the device really has: the serial line is timed by it
    clock_pin: str | None
    oscillator_divisor: int | None  # of the device's own oscillator, where no pin has a clock: only on a Nexus
    rx_pin: str  # at which the FPGA receives
    tx_pin: str  # at which it transmits
    high_pins: tuple[str, ...]  # that the board needs at 1
    io_type: str  # of all these pins, as the family's tools call it
    source: str

    def __post_init__(self) -> None:
        if self.device not in devices():
            raise ValueError(f"no device {self.device!r}; known: {', '.join(devices())}")
        if not self.clock_mhz > 0:
            raise ValueError(f"a board's 'clock_mhz' is above 0, unlike {self.clock_mhz:g}")
        if (self.clock_pin is None) == (self.oscillator_divisor is None):
            raise ValueError("a board has either a 'clock_pin' or an 'oscillator_divisor'")
        if self.oscillator_divisor is not None and fpga(self.device).family != "nexus":
            raise ValueError("a board with an 'oscillator_divisor' is one of family nexus, which has an oscillator")
        if self.oscillator_divisor is not None and not 2 <= self.oscillator_divisor <= 256:
            raise ValueError(f"a board's 'oscillator_divisor' is 2 to 256, unlike {self.oscillator_divisor}")

    @property
    def family(self) -> str:
        """Of its device."""
        return fpga(self.device).family


_KINDS: dict[str, tuple[type, ...]] = {"default": (bool,), "clock_mhz": (int, float), "high_pins": (list,)}
_KINDS |= {"oscillator_divisor": (int,)}


def _made(name: str, values: dict[str, Any]) -> Board:
    for key, value in values.items():
        kinds = _KINDS.get(key, (str,))
        if type(value) not in kinds:
            raise ValueError(f"a board's {key!r} is of type {kinds[0].__name__}, unlike {value!r}")
    numbers = {"clock_mhz": float(values["clock_mhz"]), "high_pins": tuple(values["high_pins"])}
    return Board(name, **{"clock_pin": None, "oscillator_divisor": None, **values, **numbers})


_BOARDS = Folder(
    "hwdse.hls_templates",
    "boards",
    "board",
    tuple(field.name for field in fields(Board) if field.name != "name"),
    _made,
    ("clock_pin", "oscillator_divisor"),
)


def boards() -> tuple[str, ...]:
    """The names of all boards."""
    return _BOARDS.names


@cache
def board(name: str) -> Board:
    """The board called `name`; ValueError that names its file where the file is no board."""
    return _BOARDS.read(name)


def board_of(device: str) -> Board:
    """The board that is meant where only `device` is named; ValueError lists the devices that have one."""
    found = {one.device: one for one in map(board, boards()) if one.default}
    if device not in found:
        raise ValueError(f"no board is known for device {device!r}; known for: {', '.join(sorted(found))}")
    return found[device]
