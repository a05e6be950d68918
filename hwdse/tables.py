"""Tables that a person reads in a terminal and a program reads as JSON, from the same cells."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as RichTable

FILE_WIDTH = 160  # characters, where there is no terminal to ask

Cell = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Table:
    """Named columns and rows of equal length."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""  # below the table
    facts: tuple[tuple[str, Cell], ...] = ()  # what the note says, for programs

    def print(self, *, as_json: bool = False) -> None:
        """To standard output: a table, or a JSON object with the rows, the note and the facts."""
        if as_json:
            rows = [dict(zip(self.columns, row, strict=True)) for row in self.rows]
            print(json.dumps({"title": self.title, "rows": rows, "note": self.note, **dict(self.facts)}, indent=2))
            return
        table = RichTable(title=self.title, title_justify="left", box=SIMPLE_HEAD)
        for index, column in enumerate(self.columns):
            numeric = all(isinstance(row[index], int | float | None) for row in self.rows)
            table.add_column(column, justify="right" if numeric else "left", overflow="fold", no_wrap=numeric)
        for row in self.rows:
            table.add_row(*(shown(cell) for cell in row))
        console = Console(width=None if sys.stdout.isatty() else FILE_WIDTH)
        console.print(table)
        if self.note:
            console.print(self.note, soft_wrap=True, highlight=False, markup=False)


def shown(cell: Cell) -> str:
    """A cell for people."""
    if cell is None:
        return "-"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, float):
        return f"{cell:,.4g}"
    return f"{cell:,}" if isinstance(cell, int) else cell


def of(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    note: str = "",
    facts: tuple[tuple[str, Cell], ...] = (),
) -> Table:
    """A table from any sequences."""
    return Table(title, tuple(columns), tuple(tuple(row) for row in rows), note, facts)
