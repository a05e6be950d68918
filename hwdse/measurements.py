"""Measured units as tables: what the cost model is fitted to, and what it is compared with.

A table is a CSV file, one row per run, in `cost_models/data/`: the device, what counted it, the leaf module with its
parameters, the area, the clock, and the digest of the RTL. A row whose digest is not that of today's RTL is stale.
"""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from io import StringIO
from pathlib import Path

from hwdse.cost import Resources
from hwdse.csv_rows import rows_of

_AREA = tuple(field.name for field in fields(Resources))
COLUMNS = ("device", "counted", "module", "parameters", *_AREA, "mhz", "rtl")


@dataclass(frozen=True, slots=True)
class Measurement:
    """One unit on one device."""

    device: str
    counted: str  # `netlist` or `placed`
    module: str
    parameters: tuple[tuple[str, int], ...]
    area: Resources
    mhz: float | None
    rtl: str  # `hwdse.netlist.rtl_digest` of the module

    @property
    def key(self) -> tuple[str, str, str, str, str]:
        """What was measured, without the result."""
        return self.device, self.counted, self.module, _text(self.parameters), self.rtl


def read(file: Path) -> tuple[Measurement, ...]:
    """The rows of a table; ValueError names a row that is none."""
    return tuple(_parsed(file, number, row) for number, row in rows_of(file, COLUMNS, "measurements"))


def text(measurements: Iterable[Measurement]) -> str:
    """The table of `measurements`, in the order of what was measured."""
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(_row(one) for one in sorted(measurements, key=lambda one: one.key))
    return out.getvalue()


def _row(one: Measurement) -> Iterator[str]:
    yield from (one.device, one.counted, one.module, _text(one.parameters))
    yield from (str(getattr(one.area, name)) for name in _AREA)
    yield from ("" if one.mhz is None else f"{one.mhz:.2f}", one.rtl)


def _text(parameters: Iterable[tuple[str, int]]) -> str:
    return " ".join(f"{key}={value}" for key, value in parameters)


def _parsed(file: Path, number: int, row: list[str]) -> Measurement:
    try:
        values = dict(zip(COLUMNS, row, strict=True))
        pairs = [word.split("=") for word in values["parameters"].split()]
        area = Resources(**{name: int(values[name]) for name in _AREA})
        mhz = float(values["mhz"]) if values["mhz"] else None
        parameters = tuple((key, int(value)) for key, value in pairs)
    except ValueError as error:
        raise ValueError(f"line {number} of {file} is no measurement: {error}") from None
    return Measurement(values["device"], values["counted"], values["module"], parameters, area, mhz, values["rtl"])
