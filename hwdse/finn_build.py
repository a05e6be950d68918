"""What `hwdse build --flow finn` does: a design as a folder for FINN's builder, whose estimate part is run here.

What needs a tool of AMD remains, and is said; everything before it is checked, and is an error where it is not right.
"""

import os
import sys
from dataclasses import dataclass, replace
from math import ceil, isfinite
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, fx

from hwdse import finn_choice, finn_estimate, finn_folder, finn_words, qonnx, study, tables
from hwdse import run as runs
from hwdse.agreement import decided, logits_of
from hwdse.data import Data
from hwdse.delivery import ArtifactError, deliver
from hwdse.design import Design
from hwdse.finn import Environment, FinnError, boards, builder, folding_file, reports
from hwdse.finn.estimates import SECONDS, Wish, fold_as
from hwdse.finn.messages import Board, BuildSteps, Estimated, Hello, Priced, Versions
from hwdse.finn.process import Worker
from hwdse.finn_choice import FOLDINGS
from hwdse.finn_estimate import Verified
from hwdse.finn_folder import MODEL, WITHOUT_VIVADO, Delivered
from hwdse.finn_foldings import variants
from hwdse.quantize import Bench
from hwdse.result import Result, Trial
from hwdse.run import bench_and_data

VERIFIED = 4  # images that FINN verifies, one after the other, where their number is not wished for
LOOKED_AT = 100  # images at least, among which they are chosen
ESTIMATE = "estimate"  # the folder with FINN's reports


@dataclass(frozen=True, slots=True)
class FinnWish:
    """How a design is to be built with FINN."""

    board: str
    frames_per_second: float | None = None  # that is folded for; that of the study otherwise
    folding: str = "finn"  # by its heuristic, no worse than that in anything, or matrix-vector units as in the design
    images: int = VERIFIED  # that FINN verifies, at most

    def __post_init__(self) -> None:
        if self.folding not in FOLDINGS:
            raise ValueError(f"no folding {self.folding!r} for FINN; known: {', '.join(FOLDINGS)}")
        rate = self.frames_per_second
        if rate is not None and not (isfinite(rate) and rate >= 1):
            raise ValueError(f"FINN folds for 1 or more images a second, and finitely many, not {rate:g}")
        if self.images < 1:
            raise ValueError(f"a build with FINN verifies at least 1 image, not {self.images}")


def build(path: Path, name: str, wish: FinnWish, out: Path) -> tables.Table:
    """Writes a design of the run in `path` as the folder `out`."""
    result, part = runs.load(path), study.load(path / "study.toml")
    trial = runs.pick(result, name)
    with Worker(Environment.default()) as worker:
        bench, data = bench_and_data(part)
        _check_images(data, wish.images)
        finn_estimate.check(bench, trial.evaluation.design)
        board = boards.board(worker, wish.board)
        asked = part.on_fpga.frames_per_second if wish.frames_per_second is None else wish.frames_per_second
        wish = replace(wish, frames_per_second=asked)
        _say("FINN+ takes the network through its steps, each of which is compared with Brevitas")
        with TemporaryDirectory(dir=worker.folder) as folder:
            made = _made(worker, bench, data, _Chosen(result, trial, path, out, board), wish, asked, Path(folder))
    return made


def verify(folder: Path) -> tables.Table:
    """Runs the estimate part of a build again, and holds it against the manifest."""
    manifest = finn_folder.manifest_of(folder)
    images = len(np.load(folder / "verify_input.npy", allow_pickle=False))
    with TemporaryDirectory() as place:
        copied = Path(place) / "build"
        _copy(folder, copied)
        found = builder.estimate(_environment(), copied, WITHOUT_VIVADO, images)
    try:
        finn_folder.check_estimate(found, manifest.estimate)
    except FinnError as error:
        raise ArtifactError(f"the build in {folder} is not what its manifest says: {error}") from None
    return finn_words.again(folder, manifest.estimate, images)


# ---- the steps -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Chosen:
    result: Result
    trial: Trial
    path: Path  # of the run
    out: Path
    board: Board

    @property
    def design(self) -> Design:
        return self.trial.evaluation.design


def _made(
    worker: Worker, bench: Bench, data: Data, of: _Chosen, wish: FinnWish, asked: float, folder: Path
) -> tables.Table:
    """The folder `of.out`, made in `folder` first and run there."""
    file, rate = folder / MODEL, ceil(asked)
    for_rate = Wish(of.board.part, of.result.clock, frames_per_second=rate)
    found = finn_estimate.estimate(worker, bench, of.design, for_rate, data.test, keep=file)
    images, logits, bound = _verification(bench, of.design, data, wish.images)
    folded = finn_choice.folded(worker, found.estimated, of.board, of.design, wish.folding, rate)
    finn_choice.check_buildable(folded[0])
    steps = worker.ask(BuildSteps(str(file)), SECONDS).steps
    delivered = _delivered(of, asked, found, folded, steps, bound, worker.ask(Hello(), SECONDS))
    staged, given = folder / "build", finn_folder.inputs(delivered, file.read_bytes(), images, logits)
    _check_folding(worker, found.estimated, given[folding_file.NAME].decode(), delivered)
    _write(staged, given)
    _say("FINN's own builder runs the estimate part of the folder")
    estimated = builder.estimate(worker.environment, staged, WITHOUT_VIVADO, len(images))
    finn_folder.check_estimate(estimated, delivered.priced)
    output = staged / builder.OUTPUT
    told = {f"{ESTIMATE}/{Path(name).name}": (output / name).read_bytes() for name in reports.ESTIMATES}
    told["README.md"] = finn_folder.readme(delivered, len(images))
    deliver(of.out, {**given, **told}, finn_folder.facts(delivered))
    return finn_words.summary(delivered, of.out, len(images))


def _delivered(
    of: _Chosen,
    asked: float,
    found: Verified,
    folded: tuple[Priced, str],
    steps: tuple[str, ...],
    bound: float,
    versions: Versions,
) -> Delivered:
    """All that the folder says."""
    chosen = folding_file.settings((Path(found.estimated.model).parent / "report" / AUTOMATIC).read_text())
    own = {unit.folded.node: variants.settings(unit.node) for unit in folded[0].units if unit.node is not None}
    return Delivered(
        study=of.result.study,
        trial=of.trial.number,
        run=os.path.relpath(of.path.resolve(), of.out.resolve()),
        network=of.result.workload.name,
        device=of.result.target.name,
        design=of.design,
        board=of.board,
        clock_mhz=of.result.clock,
        steps=steps,
        asked=asked,
        folded=folded[1],
        others={name: {**chosen.get(name, {}), **own.get(name, {})} for name in {**chosen, **own}},
        priced=folded[0],
        outside=found.estimated.outside,
        agreement=found.agreement.text,
        bound=bound,
        versions=versions,
    )


def _check_folding(worker: Worker, found: Estimated, content: str, delivered: Delivered) -> None:
    """Reads the folding again: FinnError for a node that is not there, what divides nothing, or another price."""
    file = worker.folder / folding_file.NAME
    file.write_text(content)
    if fold_as(worker, found, delivered.board.part, file) != delivered.priced:
        raise FinnError(f"{folding_file.NAME} is read as another folding than was priced")


AUTOMATIC = "auto_folding_config.json"  # what FINN's heuristic has chosen: of its step target_fps_parallelization


def _check_images(data: Data, count: int) -> None:
    """ValueError where the test split has fewer images than are wished for."""
    if count > len(data.test):
        raise ValueError(f"a build verifies at most the {len(data.test)} images of the test split, not {count}")


def _verification(
    bench: Bench, design: Design, data: Data, count: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
    """Codes of images and their logits, and the bound on these: of images whose codes no order of additions moves."""
    model = bench.quantize(design)
    images = next(data.test.batches(min(max(LOOKED_AT, count), len(data.test))))[0]
    chosen = images[decided(model, images)][:count]
    if not len(chosen):
        raise FinnError(f"in each of {len(images)} images a number is so near to a threshold that none can be verified")
    logits, bound = logits_of(model, chosen)
    return _entering(model, chosen), logits, bound


def _entering(model: fx.GraphModule, images: Tensor) -> NDArray[np.float32]:
    return np.asarray(qonnx.input_codes(model, images).numpy(), np.float32)


# ---- folders -------------------------------------------------------------------------------------


def check_results(folder: Path) -> None:
    """ArtifactError for a build with results of FINN, which took hours and would be replaced."""
    if (folder / builder.OUTPUT / "bitfile").exists() or (folder / builder.OUTPUT / "stitched_ip").exists():
        raise ArtifactError(f"{folder} has results of FINN in {builder.OUTPUT}: import them, and move them away")


def _environment() -> Environment:
    environment = Environment.default()
    if not environment.ready:
        raise FinnError(f"FINN+ is {environment.state}")
    return environment


def _write(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)


def _copy(folder: Path, to: Path) -> None:
    """What FINN is given, without what it has left."""
    _write(to, {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()})


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
