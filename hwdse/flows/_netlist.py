"""A mapped netlist as yosys writes it: JSON, with a number for every net."""

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

Bit = int | str  # a net, or a constant: '0', '1', 'x', 'z'


@dataclass(frozen=True, slots=True)
class Cell:
    """One primitive: its type, and for each port the bits that it is connected to."""

    type: str
    ports: Mapping[str, tuple[Bit, ...]]

    def nets(self, *outputs: str) -> frozenset[int]:
        """The nets at its ports other than `outputs`; constants are none."""
        bits = (bit for port, bits in self.ports.items() if port not in outputs for bit in bits)
        return frozenset(bit for bit in bits if isinstance(bit, int))

    def bit(self, port: str) -> Bit | None:
        """What the port of one bit is connected to; None where it is open."""
        bits = self.ports.get(port, ())
        return bits[0] if bits else None


def read(file: Path) -> tuple[Cell, ...]:
    """The cells of the only module in a compressed file of `write_json`; ValueError where it is none."""
    try:
        (module,) = json.loads(gzip.decompress(file.read_bytes()))["modules"].values()
        cells = module["cells"].values()
        return tuple(Cell(c["type"], {port: tuple(bits) for port, bits in c["connections"].items()}) for c in cells)
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{file} is no netlist of yosys: {type(error).__name__}: {error}") from None


def read_family(folder: Path) -> str:
    """The family that a run was for, which is a file of its plan."""
    try:
        return (folder / "family").read_text().strip()
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder} is no run of a flow: {type(error).__name__}: {error}") from None
