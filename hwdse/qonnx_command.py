"""What `hwdse export --to qonnx` does: a design of a run as a QONNX file that is proven equal to its Brevitas model."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from torch import Tensor

from hwdse import qonnx, study, tables
from hwdse import run as runs
from hwdse.agreement import Agreement, compare, tensors
from hwdse.design import Design
from hwdse.finn import Environment, FinnError, files
from hwdse.finn.process import Worker
from hwdse.onnx_graph import Array, Grid, LayerGrids
from hwdse.quantize import Bench, Images

BATCH = 100  # images that are executed at once: all tensors of a file are in memory


def export(path: Path, name: str, out: Path, images: int, *, top1: bool) -> tables.Table:
    """Writes a design of the run in `path` as the file `out`, and says what was checked."""
    if images < 1:
        raise ValueError(f"an export is compared on at least one image, not {images}")
    _check_place(out)
    with Worker(Environment.default()) as worker:
        part = study.load(path / "study.toml")
        trial = runs.pick(runs.load(path), name)
        bench, data = runs.bench_and_data(part)
        design = trial.evaluation.design
        grids, agreement = write(worker, bench, design, out, data.test, images, top1=top1)
    columns = ("layer", "weights", "inputs")
    rows = [(one.layer, None if one.weights is None else one.weights.name, _names(one.inputs)) for one in grids]
    title = f"{bench.workload.name} as design {design.digest} in QONNX"
    facts: tuple[tuple[str, tables.Cell], ...] = (
        ("file", str(out)),
        ("images", agreement.images),
        ("codes", agreement.codes),
        ("codes_moved", agreement.moved),
        ("logits_difference", agreement.difference),
        ("logits_bound", agreement.bound),
    )
    return tables.of(title, columns, rows, f"{out}: equal to Brevitas: {agreement.text}", facts)


def write(
    worker: Worker,
    bench: Bench,
    design: Design,
    out: Path,
    test: Images,
    images: int,
    *,
    top1: bool = False,
    integers: bool = False,
) -> tuple[tuple[LayerGrids, ...], Agreement]:
    """Writes `design` as the file `out`, which is there only if what it says and what it computes is right.

    It is executed on so many `images` of the `test` split. With `integers` there are no weights in minifloats in it.
    """
    model = bench.quantize(design)
    graph = qonnx.graph(bench, design, model, integers=integers)
    expected = qonnx.grids(bench, design, integers=integers)
    with TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as folder:
        partial = Path(folder) / out.name
        written = files.write(worker, graph, expected, partial, top1=top1)
        agreement = Agreement()
        for part in _batches(test, images):
            enters = qonnx.input_codes(model, part) if graph.input_datatype is not None else part
            wanted = dict.fromkeys((*tensors(model), written.output))
            found = files.execute(worker, partial, enters.numpy(), tuple(wanted))
            agreement += compare(model, part, found)
            if top1:
                check_classes(found[graph.output], found[written.output])
        partial.rename(out)
    return written.layers, agreement


def _batches(test: Images, count: int) -> Iterator[Tensor]:
    """The first images of a split."""
    for images, _ in test.batches(BATCH):
        if count > 0:
            yield images[:count]
        count -= len(images)


def check_classes(logits: Array, classes: Array) -> None:
    """FinnError unless each class has the largest logit of its image."""
    picked = np.take_along_axis(logits, classes.reshape(-1, 1).astype(np.int64), 1)
    if wrong := int((picked[:, 0] < logits.max(1)).sum()):
        raise FinnError(f"top-1 of the QONNX file is not the largest logit on {wrong} of {len(logits)} images")


def _check_place(out: Path) -> None:
    if out.suffix != ".onnx":
        raise ValueError(f"a QONNX file is called NAME.onnx, not {out.name}")
    if out.exists():
        raise ValueError(f"a QONNX file is a new one, unlike {out}")
    if not out.parent.is_dir():
        raise FinnError(f"a QONNX file goes into a folder that exists, not {out.parent}")


def _names(grids: tuple[Grid, ...]) -> str:
    return ", ".join(dict.fromkeys(grid.name for grid in grids))
