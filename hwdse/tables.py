"""Tables that a person reads in a terminal and a program reads as JSON, from the same cells."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as RichTable

FILE_WIDTH = 160  # characters, where there is no terminal to ask

Cell = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its key for programs, its heading and how its cells are shown to people."""

    key: str
    heading: str
    show: Callable[[Cell], str]


@dataclass(frozen=True, slots=True)
class Table:
    """Columns and rows of equal length."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""  # below the table
    facts: tuple[tuple[str, Cell], ...] = ()  # what the note says, for programs

    @property
    def json(self) -> str:
        """An object with the rows, the note and the facts, on one line."""
        keys = [column.key for column in self.columns]
        rows = [dict(zip(keys, row, strict=True)) for row in self.rows]
        return json.dumps({"title": self.title, "rows": rows, "note": self.note, **dict(self.facts)})

    def print(self, *, as_json: bool = False) -> None:
        """To standard output: a table, or its JSON on a line of its own."""
        if as_json:
            print(self.json)
            return
        table = RichTable(title=self.title, title_justify="left", box=SIMPLE_HEAD)
        for index, column in enumerate(self.columns):
            numeric = all(isinstance(row[index], int | float | None) for row in self.rows)
            table.add_column(column.heading, justify="right" if numeric else "left", overflow="fold", no_wrap=numeric)
        for row in self.rows:
            table.add_row(*(column.show(cell) for column, cell in zip(self.columns, row, strict=True)))
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
    columns: Sequence[str | Column],
    rows: Sequence[Sequence[Cell]],
    note: str = "",
    facts: tuple[tuple[str, Cell], ...] = (),
) -> Table:
    """A table from any sequences."""
    made = tuple(Column(c, c, shown) if isinstance(c, str) else c for c in columns)
    return Table(title, made, tuple(tuple(row) for row in rows), note, facts)
