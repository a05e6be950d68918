"""The folder of a calibration: the tables, what made them, and the fits to them.

`tools.json` names the tools and the sample of every table; a table of other tools has other counts and begins anew.
The RTL is named row by row.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hwdse.calibrated import FILE, SAME_LUTS, Fits, parse, text
from hwdse.calibration import plan
from hwdse.calibration.campaign import current, write
from hwdse.calibration.fit import fit_all
from hwdse.measurements import read
from hwdse.structure import modules
from hwdse.structure.blocks import FABRICS
from hwdse.target import fpga

TOOLS = "tools.json"


@dataclass(frozen=True, slots=True)
class Made:
    """What made a table."""

    tools: tuple[tuple[str, str], ...]  # (name, version)
    seed: int  # of the sample


def made(folder: Path) -> dict[str, Made]:
    """What made the tables of a folder, by file name; ValueError where its file says something else."""
    file = folder / TOOLS
    try:
        content = json.loads(file.read_bytes()) if file.exists() else {}
        return {
            name: Made(tuple((str(k), str(v)) for k, v in one["tools"].items()), int(one["seed"]))
            for name, one in content.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{file} does not say what made the tables: {type(error).__name__}: {error}") from None


def begin(table: Path, by: Made) -> None:
    """Notes that `table` is made `by` these; removes one that other tools made."""
    notes = made(table.parent)
    if table.name in notes and notes[table.name].tools != by.tools:
        table.unlink(missing_ok=True)
    notes[table.name] = by
    content = {name: {"tools": dict(one.tools), "seed": one.seed} for name, one in notes.items()}
    write(table.parent / TOOLS, json.dumps(content, indent=1, sort_keys=True) + "\n")


def measured(folder: Path) -> tuple[str, ...]:
    """The families that have a table to be fitted to."""
    return tuple(family for family in FABRICS if (folder / plan.table(family, "netlist")).exists())


def refit(folder: Path, families: Sequence[str]) -> dict[str, dict[str, Fits]]:
    """Fits the tables of `families` and writes them to the folder's file; what they do not say stays in it.

    A family that is priced as another one has no fits: its table only checks the other's. ValueError names a table
    that is none, and where there is no table.
    """
    found = {family: _fitted(folder, family) for family in families if family not in SAME_LUTS}
    old = _fits(folder / FILE)
    for family, fits in found.items():
        kept = {module: one for module, one in old.get(family, {}).items() if module in modules()}
        if both := {**kept, **fits}:
            old[family] = both
    write(folder / FILE, text(old))
    return found


def _fitted(folder: Path, family: str) -> dict[str, Fits]:
    file = folder / plan.table(family, "netlist")
    if not file.exists():
        raise ValueError(f"there are no measurements in {file}: `hwdse calibrate` makes them")
    rows = current(read(file))
    for row in rows:
        if fpga(row.device).family != family:
            raise ValueError(f"{file} has units on {family}, unlike {row.device!r}")
    try:
        return fit_all(rows, family)
    except KeyError as error:
        raise ValueError(f"a unit in {file} has no parameter {error}") from None


def _fits(file: Path) -> dict[str, dict[str, Fits]]:
    try:
        return parse(file.read_text(encoding="utf-8")) if file.exists() else {}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{file} holds no fits, remove it to fit anew: {type(error).__name__}: {error}") from None
