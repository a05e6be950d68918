"""What `hwdse build --flow triton` does: a design as a folder with packed weights and the kernels that multiply them.

The folder is read back and compared with the Brevitas model, part by part, before it gets its place. It needs no GPU:
there the layers run by their plain reference. Times are not measured.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from torch import Tensor, fx

from hwdse import gpu_folder, gpu_words, study, tables
from hwdse import run as runs
from hwdse.build import BuildError
from hwdse.cost_model import Run
from hwdse.data import Data
from hwdse.delivery import deliver
from hwdse.design import Design
from hwdse.gpu_check import Checked, check, together, what
from hwdse.gpu_choice import chosen
from hwdse.gpu_folder import Built
from hwdse.gpu_source import versions
from hwdse.graph_source import written_out
from hwdse.quantize import Bench
from hwdse.study.targets import GpuSection, Target
from hwdse.target import GpuTarget, gpu, gpus

COMPARED = 100  # images, where their number is not wished for
TOGETHER = 50  # images of a comparison


@dataclass(frozen=True, slots=True)
class GpuWish:
    """How a design is to be built for a GPU."""

    device: str | None = None  # that of the study otherwise
    batch: int | None = None  # images that kernels are chosen for; that of the study otherwise, or 1
    images: int | None = None  # that are compared, or sequences; otherwise `COMPARED`, or as many as there are

    def __post_init__(self) -> None:
        if self.batch is not None and self.batch < 1:
            raise ValueError(f"a batch has at least 1 image, not {self.batch}")
        if self.images is not None and self.images < 1:
            raise ValueError(f"a build for a GPU compares at least 1 image, not {self.images}")


def build(path: Path, name: str, wish: GpuWish, out: Path) -> tables.Table:
    """Writes a design of the run in `path` as the folder `out`."""
    result, part = runs.load(path), study.load(path / "study.toml")
    trial = runs.pick(result, name)
    target = _target(wish.device, part.target.device)
    bench, data = runs.bench_and_data(part)
    images, labels = compared(data, wish.images)
    design = trial.evaluation.design
    of = built(bench, design, target, run_of(wish, part.target), (result.study, trial.number))
    _say(f"the folder is read back and compared with Brevitas's model on {len(images)} {what(images)}")
    checked = write(of, bench, (images, labels), out)
    return gpu_words.summary(f"trial {trial.number} of {result.study}", out, of.layers, checked, target.name)


def write(of: Built, bench: Bench, sample: tuple[Tensor, Tensor], out: Path) -> Checked:
    """The folder `out` of a build, compared on `sample`, images and labels; BuildError where it is not the design."""
    images, labels = sample
    model = written_out(bench.quantize(of.design))
    inner, _ = bench.after_float_steps(of.design)
    logits = model(images.clone()).detach()
    written = written_out(bench.quantize(of.design))
    files = gpu_folder.inputs(of, inner, written, gpu_folder.sample(images, labels, logits))
    checked = _read_back(files, model, images)
    readme = gpu_words.readme(of.title, of.target.name, of.run, of.layers, checked, versions())
    deliver(out, {**files, "README.md": readme}, gpu_folder.facts(of, checked))
    return checked


def built(bench: Bench, design: Design, target: GpuTarget, run: Run, origin: tuple[str, int]) -> Built:
    """What is to be built of `design`, which is a trial of a study; ValueError names what no kernel takes."""
    inner, _ = bench.after_float_steps(design)
    layers = chosen(inner.workload, design, target, run)
    return Built(*origin, inner.workload.name, design, target, run, layers)


def _target(wished: str | None, of_study: str) -> GpuTarget:
    """The GPU that is wished for, or that of the study; ValueError where neither is one."""
    name = of_study if wished is None else wished
    if name not in gpus():
        known = ", ".join(gpus())
        if wished is None:
            raise ValueError(f"the study is for {name!r}, which is no GPU: give --device, one of {known}")
        raise ValueError(f"no GPU {name!r}; known: {known}")
    return gpu(name)


def run_of(wish: GpuWish, target: Target) -> Run:
    """That of a study's target, or one frame at a time; with the batch that is wished for."""
    own = target.run if isinstance(target, GpuSection) else Run()
    return own if wish.batch is None else replace(own, batch=wish.batch)


def compared(data: Data, count: int | None) -> tuple[Tensor, Tensor]:
    """What is compared of the test split; ValueError where it has fewer than `count`."""
    if count is not None and count > len(data.test):
        what = "sequences" if data.test.labels.dim() > 1 else "images"
        raise ValueError(f"a build compares at most the {len(data.test)} {what} of the test split, not {count}")
    return next(data.test.batches(min(COMPARED, len(data.test)) if count is None else count))


def _read_back(files: Mapping[str, bytes], model: fx.GraphModule, images: Tensor) -> Checked:
    """What `files`, written and loaded, compute beside `model`; BuildError where that differs without a reason."""
    with TemporaryDirectory() as place:
        folder = Path(place)
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        with gpu_folder.loaded(folder) as module:
            kinds = module.PackedLayer, module.Quantise
            written = module.load("cpu", {"": "reference"})
            try:
                return together([check(model, written, kinds, batch) for batch in images.split(TOGETHER)])
            except ValueError as error:
                raise BuildError(f"the folder is not its design: {error}") from None


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
