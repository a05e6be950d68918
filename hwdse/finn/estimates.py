"""FINN's own estimates of a QONNX file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
from numpy.typing import NDArray

from hwdse.finn.files import Tensor
from hwdse.finn.messages import Estimate, Estimated, FoldAs, Folded, FoldFor, Priced, Refold
from hwdse.finn.process import Worker

SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Wish:
    """For which part and clock, and a rate that FINN's own heuristic folds for, or a folding of FINN's nodes."""

    part: str  # as AMD writes it: xczu3eg-sbva484-1-e
    clock_mhz: float
    frames_per_second: int | None = None
    folding: tuple[Folded, ...] = ()

    def __post_init__(self) -> None:
        if self.clock_mhz <= 0:
            raise ValueError(f"a clock is above 0 MHz, not {self.clock_mhz:g}")
        if (self.frames_per_second is None) == (not self.folding):
            raise ValueError("FINN folds for a rate, or as it is told: one of frames_per_second and folding")


def estimate(
    worker: Worker, model: Path, layers: Sequence[str], images: NDArray[np.float32], wish: Wish
) -> tuple[Estimated, Mapping[str, Tensor]]:
    """FINN's numbers, and for each of its steps what the network gives for `images` behind it.

    `layers` are those of the file with weights: each must become a unit.
    """
    folder = Path(mkdtemp(dir=worker.folder, prefix="steps-"))
    sent, received = folder / "images.npy", folder / "results.npz"
    np.save(sent, images, allow_pickle=False)
    request = Estimate(
        model=str(model.absolute()),
        layers=tuple(layers),
        images=str(sent),
        out=str(received),
        folder=str(folder / "finn"),
        part=wish.part,
        clock_ns=1000 / wish.clock_mhz,
        target_fps=wish.frames_per_second,
        folding=wish.folding,
    )
    estimated = worker.ask(request, SECONDS)
    with np.load(received, allow_pickle=False) as file:
        return estimated, {step.name: file[step.name] for step in estimated.steps}


def refold(worker: Worker, estimated: Estimated, part: str, folding: tuple[Folded, ...]) -> Priced:
    """FINN's numbers for the same network with another folding of some nodes, in some hundredths of a second."""
    return worker.ask(Refold(estimated.model, _layers(estimated), part, folding), SECONDS)


def fold_for(worker: Worker, estimated: Estimated, wish: Wish) -> Priced:
    """The same network as FINN's own heuristic folds it for the rate of `wish`."""
    assert wish.frames_per_second is not None
    asked = FoldFor(estimated.model, _layers(estimated), wish.part, 1000 / wish.clock_mhz, wish.frames_per_second)
    return worker.ask(asked, SECONDS)


def fold_as(worker: Worker, estimated: Estimated, part: str, file: Path) -> Priced:
    """The same network as the folding file `file` says, which FINN's own step for such files applies."""
    return worker.ask(FoldAs(estimated.model, _layers(estimated), part, str(file.absolute())), SECONDS)


def _layers(estimated: Estimated) -> tuple[tuple[str, str], ...]:
    return tuple((unit.folded.node, unit.layer) for unit in estimated.priced.units if unit.layer is not None)
