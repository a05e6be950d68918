"""`docs/finn-folding.md`: its bars are those of its times, its words those of its template, and what makes them."""

import sys
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "finn-folding.md").read_text()
TEMPLATE = (ROOT / "docs" / "finn-folding.md.j2").read_text()
MLP, RESNET20 = "digits-mlp, int4:channel x int4, xczu3eg", "cifar-resnet20, int4:channel x int4, xczu7ev"


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    """`benchmarks/finn.py`."""
    spec = spec_from_file_location("benchmarks_finn", ROOT / "benchmarks" / "finn.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def table(head: str) -> list[list[str]]:
    """The rows of the page's table whose head begins so."""
    lines = PAGE.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(head)) + 2
    end = next(number for number in range(start, len(lines) + 1) if not lines[number : number + 1] or not lines[number])
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[start:end]]


def compared(benchmark: ModuleType) -> list[Any]:
    """What the page says that was measured: its times, and a row for each case, the first one above 36 bits."""
    point = benchmark.Point(320, (390, 5, 0, 34), 0.112)
    times = {row[0]: [float(cell) for cell in row[1:]] for row in table("| | export |")}
    cases = {case.title: case for case in benchmark.CASES}
    rows = [(benchmark.Row(500_000, point, point, point, 36 + 4 * (title == MLP)),) for title in times]
    each = zip(times.items(), rows, strict=True)
    return [benchmark.Compared(cases[title], 7, row, 9, benchmark.Seconds(*own)) for (title, own), row in each]


def taken(column: str) -> dict[str, float]:
    """Seconds by case as the page has them."""
    names = [
        cell.strip() for cell in next(one for one in PAGE.splitlines() if one.startswith("| | export |")).split("|")
    ]
    at = [names.index(name) - 2 for name in (column.split(" + ") if " + " in column else [column])]
    return {title: sum(float(cells[number]) for number in at) for title, *cells in table("| | export |")}


def test_the_bars_are_those_of_the_times() -> None:
    told = table("| bar | column |")
    assert len(told) == 8
    for what, column, slowest, title, met in told:
        bar, unit = what.split(" in ")[1].split()
        own = {case: seconds for case, seconds in taken(column).items() if case.startswith(what.split(" through ")[0])}
        times = own or taken(column)
        # A sum of two times is rounded once in one table, and its parts in the other: 3 x 0.005 s.
        bound = 0.0151 if " + " in column else 0
        assert abs(float(slowest) - max(times.values())) <= bound
        assert abs(float(slowest) - times[title]) <= bound
        assert met == ("yes" if float(slowest) <= float(bar) / (1000 if unit == "ms" else 1) else "no")


def test_a_bar_that_is_missed_is_said_to_be(benchmark: ModuleType) -> None:
    *others, last = compared(benchmark)
    slow = replace(last, seconds=replace(last.seconds, refold=0.089))
    made = benchmark.page([*others, slow])
    missed = [line for line in made.splitlines() if line.endswith(" | no |")]
    assert missed == [f"| a new folding in 50 ms | new folding: FINN, all nodes | 0.089 | {RESNET20} | no |"]


def test_the_words_are_those_of_the_template() -> None:
    pages = set(PAGE.splitlines())
    plain = [line for line in TEMPLATE.splitlines() if "{" not in line]
    assert len(plain) > 40
    assert [line for line in plain if line not in pages] == []


def test_a_heuristic_above_its_own_limit_is_marked(benchmark: ModuleType) -> None:
    made = benchmark.page(compared(benchmark))
    start = "FINN's heuristic goes above its own 36 bits of weights of a PE at "
    found = [line.removeprefix(start) for line in made.splitlines() if line.startswith(start)]
    assert found == ["500,000 (40 bits).", *["none of the targets."] * 5]


def test_ratios_have_every_new_folding(benchmark: ModuleType) -> None:
    (last,) = compared(benchmark)[-1:]
    found = benchmark.ratios([replace(last, seconds=replace(last.seconds, refold=0.089, refold_one=0.048))])
    title = "cifar-resnet20 int4:channel, 50 ms to a new folding of"
    assert found[f"{title} all nodes"] == round(0.05 / 0.089, 3)
    assert found[f"{title} a unit"] == round(0.05 / 0.048, 3)


def test_a_bar_is_kept_by_its_own_time(benchmark: ModuleType) -> None:
    bar = benchmark.Bar("a front", "front", 30.0, 30.0, MLP)
    assert bar.met
    assert not replace(bar, seconds=30.1).met
