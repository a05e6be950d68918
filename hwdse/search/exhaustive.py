"""Every design of a small space, evaluated once and kept: what a search is proved against.

A search over a `Tabled` problem runs as any other, but looks its evaluations up, so that many searches with many seeds
cost little. Of which images are right only the number is kept.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwdse.cost import FpgaCost, LayerCost, Resources, Term
from hwdse.design import Design
from hwdse.evaluation import Accuracy, pack
from hwdse.metrics import metric
from hwdse.search.problem import DesignError, Problem
from hwdse.space import Space
from hwdse.where import OnFpga
from hwdse.workers import Job

Array = NDArray[np.float64]

KEPT_EVERY = 500  # designs
SPLIT = "search"


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """The evaluations of all designs on the search split.

    `rows`: where a digest is; `alike`: where the digest of a design's numerics is, which others may share.
    """

    count: int  # images
    losses: Array
    right: Array  # images
    sqnrs: Array  # dB
    luts: Array
    rows: Mapping[str, int]
    alike: Mapping[str, int]

    def accuracy(self, design: Design) -> Accuracy:
        """Of one design, or of its numerics."""
        row = self.alike[design.numerics.digest]
        hits = pack(np.arange(self.count) < self.right[row])
        return Accuracy(SPLIT, self.count, hits, float(self.losses[row]), float(self.sqnrs[row]))

    def cost(self, design: Design, device: str, clock_mhz: float) -> FpgaCost:
        """Of one design: its LUTs and nothing else."""
        term = Term("all", Resources(luts=int(self.luts[self.rows[design.digest]])))
        return FpgaCost((LayerCost("all", (term,), 1, 1),), 1, 1, clock_mhz, device, "table", "of a table", ())


@dataclass(frozen=True)
class Tabled(Problem):
    """A problem all designs of which were evaluated; its one cost is LUTs."""

    table: Table = field(kw_only=True)

    def known(self, job: Job) -> Accuracy | DesignError | None:
        """Looked up, so that nothing is left to evaluate; ValueError for another split than that of the table."""
        if job.split != SPLIT:
            raise ValueError(f"a table has the {SPLIT} split, not {job.split!r}")
        return self.table.accuracy(job.design)

    def price(self, design: Design) -> FpgaCost:
        """Looked up."""
        return self.table.cost(design, self.where.target.name, clock_of(self))


def designs(space: Space) -> Iterator[Design]:
    """All of a space, the last dimension changing fastest, so that neighbours share what comes before it."""
    names = [dimension.name for dimension in space.dimensions]
    for choices in product(*(dimension.choices for dimension in space.dimensions)):
        yield space.design(dict(zip(names, choices, strict=True)))


def table(problem: Problem, file: Path, report: Callable[[int, int], None]) -> Table:
    """All designs of the space of `problem`, from `file` or evaluated and kept there, also what is done so far.

    ValueError if the file is of something else.
    """
    every = list(designs(problem.space))
    rows = {design.digest: row for row, design in enumerate(every)}
    total, name = len(rows), _name(problem, rows)
    done = _kept(file, name)
    for row, design in enumerate(every[len(done) :], len(done)):
        done.append(_evaluated(problem, design))
        if (row + 1) % KEPT_EVERY == 0 or row + 1 == total:
            _keep(file, name, done)
            report(row + 1, total)
    losses, right, sqnrs, luts = np.array(done, np.float64).T
    alike = {design.numerics.digest: row for row, design in enumerate(every)}
    return Table(problem.float_accuracy("search").count, losses, right, sqnrs, luts, rows, alike)


def _evaluated(problem: Problem, design: Design) -> tuple[float, float, float, float]:
    accuracy = problem.evaluator.accuracy(design, "search")
    priced = problem.priced(design)
    sqnr = accuracy.sqnr_db
    return accuracy.loss, float(accuracy.right.sum()), np.nan if sqnr is None else sqnr, metric("lut").read(priced, "")


def clock_of(problem: Problem) -> float:
    """That of its FPGA, MHz; ValueError of a GPU, whose costs are no LUTs."""
    if not isinstance(problem.where, OnFpga):
        raise ValueError(f"a table of all designs has their LUTs, which {problem.where.target.name!r} does not have")
    return problem.where.clock_mhz


def _name(problem: Problem, rows: Mapping[str, int]) -> str:
    """What the numbers depend on: the network and its data, all designs, the price."""
    every = blake2b("".join(rows).encode(), digest_size=8).hexdigest()
    where = problem.where
    return f"{problem.context} {every} {where.model!r} {where.target.name} {clock_of(problem)}"


def _kept(file: Path, name: str) -> list[tuple[float, ...]]:
    if not file.exists():
        return []
    with np.load(file) as content:
        if str(content["name"]) != name:
            raise ValueError(
                f"{file} has the designs of another space, network or price: {content['name']}, not {name}"
            )
        return [tuple(map(float, row)) for row in content["rows"]]


def _keep(file: Path, name: str, done: list[tuple[float, ...]]) -> None:
    draft = file.with_suffix(".new.npz")
    np.savez(draft, name=name, rows=np.array(done))
    draft.replace(file)
