"""The report of a study: one self-contained HTML page, two tables as CSV and the main plots as SVG for papers.

A team lead decides from the page in five minutes, so the answer stands at the top in words, and a
word such as 'loses' is used only where the interval on the test split excludes zero.
"""

from pathlib import Path

from hwdse.report.figures import plots
from hwdse.report.page import render
from hwdse.report.rows import csv, rows
from hwdse.report.svg import draw
from hwdse.result import Result


def write(result: Result, folder: Path) -> Path:
    """The path of `report.html`, written into `folder` with `trials.csv`, `pareto.csv` and one SVG per plot."""
    folder.mkdir(parents=True, exist_ok=True)
    table = rows(result)
    drawn = plots(result)
    by_number = {row.trial: row for row in table}
    files = {"report.html": render(result, drawn, table), "trials.csv": csv(table)}
    files["pareto.csv"] = csv(tuple(by_number[number] for number in result.front))
    files |= {f"{plot.name}.svg": draw(plot) for plot in drawn}
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    return folder / "report.html"
