"""The rows of a CSV file whose first line names its columns, as every table of measurements here has one."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path


def rows_of(file: Path, columns: Sequence[str], what: str) -> Iterator[tuple[int, list[str]]]:
    """Each row with the number of its line; ValueError for a file that is no table of `what`, or of other columns."""
    try:
        with file.open(newline="", encoding="utf-8") as lines:
            rows = list(csv.reader(lines))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{file} is no table of {what}: {error}") from None
    if not rows or rows[0] != list(columns):
        raise ValueError(f"a table of {what} begins with {','.join(columns)}, unlike {file}")
    yield from enumerate(rows[1:], 2)
