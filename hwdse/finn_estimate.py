"""A design through FINN's steps, each of which is checked against its Brevitas model."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, fx

from hwdse import finn_types, qonnx, qonnx_command
from hwdse.agreement import Agreement, agreeing, decided
from hwdse.design import Design
from hwdse.finn import FinnError, estimates
from hwdse.finn.estimates import Wish
from hwdse.finn.messages import Estimated
from hwdse.finn.process import Worker
from hwdse.formats import integer_bits
from hwdse.quantize import Bench, Images
from hwdse.workload import Workload

Array = NDArray[np.float32]

SUM_BITS = 64  # qonnx/core/datatype.py of QONNX 1.0.0: its widest integer
IMAGES = 4  # FINN executes its nodes one image at a time, after every step


@dataclass(frozen=True, slots=True)
class Verified:
    """FINN's numbers for a design whose network is the same before and after every step."""

    estimated: Estimated
    images: int  # with equal logits behind every step; of others roundings have moved codes
    agreement: Agreement  # of the file that FINN was given with the Brevitas model


def estimate(
    worker: Worker,
    bench: Bench,
    design: Design,
    wish: Wish,
    test: Images,
    images: int = IMAGES,
    *,
    keep: Path | None = None,
) -> Verified:
    """What FINN estimates for `design`; FinnError or ValueError names the layer or step that is not as it should be.

    `keep`: a file for the network that FINN was given.
    """
    _refuse(bench.workload, design)
    with TemporaryDirectory(dir=worker.folder) as folder:
        file = Path(folder) / "model.onnx"
        _, agreement = qonnx_command.write(worker, bench, design, file, test, images, integers=True)
        if keep is not None:
            shutil.copyfile(file, keep)
        model = bench.quantize(design)
        part, _ = next(iter(test.batches(images)))
        codes = qonnx.input_codes(model, part).numpy()
        estimated, results = estimates.estimate(worker, file, [layer for layer, _ in design.weights], codes, wish)
    clear = decided(model, part)
    same = min(_agreeing(model, part, clear, step, logits) for step, logits in results.items())
    return Verified(estimated, same, agreement)


def _agreeing(model: fx.GraphModule, images: Tensor, clear: NDArray[np.bool_], step: str, logits: Array) -> int:
    """How many images have the logits of `model`; FinnError if any that is `clear` has others, or too many have."""
    rule = f"step {step} of FINN+ changes what the network computes"
    near = agreeing(model, images, logits)
    if wrong := int((clear & ~near).sum()):
        raise FinnError(f"{rule}: the logits of {wrong} of {len(images)} images differ by more than roundings")
    if 2 * near.sum() < len(images):
        raise FinnError(f"{rule}: only {int(near.sum())} of {len(images)} images have the same logits")
    return int(near.sum())


def check(bench: Bench, design: Design) -> None:
    """FinnError or ValueError names what no file for FINN can say, or what FINN would leave out; nothing is run."""
    _refuse(bench.workload, design)
    qonnx.graph(bench, design, bench.quantize(design))


def _refuse(workload: Workload, design: Design) -> None:
    """FinnError for what FINN would leave to software without an error; weights in minifloats become integers."""
    activations = dict(design.activations)
    for name, quantizer in design.activations:
        try:
            finn_types.refuse_activation(quantizer, f"site {name!r}")
        except ValueError as error:
            raise FinnError(str(error)) from None
    for name, quantizer in design.weights:
        layer = workload.layer(name)
        product = integer_bits(quantizer.format) + max(activations[site].format.bits for site in layer.inputs)
        bits = product + (layer.dot - 1).bit_length()
        if bits > SUM_BITS:
            rule = f"a sum of FINN has at most {SUM_BITS} bits"
            raise FinnError(f"{rule}, not {bits} as with {quantizer.name} of {name!r}")
