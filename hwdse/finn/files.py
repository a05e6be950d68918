"""QONNX files: written by the worker, read back, and executed there."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwdse.finn.environment import FinnError
from hwdse.finn.messages import Execute, Write, Written
from hwdse.finn.process import Worker
from hwdse.onnx_graph import Graph, LayerGrids

WRITE_SECONDS, EXECUTE_SECONDS = 120.0, 600.0

Tensor = NDArray[np.float32]


def write(worker: Worker, graph: Graph, expected: Sequence[LayerGrids], out: Path, *, top1: bool = False) -> Written:
    """Writes `graph` as the file `out`; FinnError names the layer that the file says anything else of than `expected`.

    With `top1` the number of the class leaves the network, and not its logits.
    """
    sent = worker.folder / "graph.npz"
    graph.save(sent)
    request = Write(str(sent), str(out.absolute()), tuple(grids.layer for grids in expected), top1)
    written = worker.ask(request, WRITE_SECONDS)
    _check(expected, written.layers)
    return written


def execute(worker: Worker, model: Path, images: NDArray[np.float32], tensors: Sequence[str]) -> Mapping[str, Tensor]:
    """These tensors of the file `model` on images, as QONNX defines its operations."""
    sent, received = worker.folder / "images.npy", worker.folder / "tensors.npz"
    np.save(sent, images, allow_pickle=False)
    request = Execute(str(model.absolute()), str(sent), str(received), tuple(tensors))
    done = worker.ask(request, EXECUTE_SECONDS)
    with np.load(received, allow_pickle=False) as file:
        return {name: file[f"array {name}"] for name in done.tensors}


def _check(expected: Sequence[LayerGrids], found: Sequence[LayerGrids]) -> None:
    """FinnError unless they are equal, layer by layer."""
    if [grids.layer for grids in expected] != [grids.layer for grids in found]:
        names = ", ".join(grids.layer for grids in found)
        raise FinnError(f"a QONNX file was asked about {len(expected)} layers and answered about {names or 'none'}")
    for wish, grids in zip(expected, found, strict=True):
        if wish.weights != grids.weights:
            says = "nothing" if grids.weights is None else grids.weights.name
            wants = "nothing" if wish.weights is None else wish.weights.name
            raise FinnError(f"the weights of {wish.layer!r} are {wants} in the design, not {says} as in the QONNX file")
        if wish.inputs != grids.inputs:
            wants, says = (" and ".join(grid.name for grid in one.inputs) or "nothing" for one in (wish, grids))
            raise FinnError(f"{wish.layer!r} reads {wants} in the design, not {says} as in the QONNX file")
