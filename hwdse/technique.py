"""The contract of a post-training quantisation technique.

A technique is one file in `hwdse/techniques/`, found by its file name. What it declares to see
decides when it runs and what its result may be reused for.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from torch import fx

    from hwdse.design import Quantizer
    from hwdse.quantize import Bench
    from hwdse.workload import Layer, Workload


class Sees(StrEnum):
    """What a technique looks at; the first two act on the float network, before anything is quantised."""

    WEIGHTS = "weights"  # the float network alone
    FLOAT_INPUTS = "float inputs"  # also the calibration activations of the float network
    QUANTIZED_INPUTS = "quantized inputs"  # the quantised network, layer after layer


@dataclass(frozen=True)
class Technique(ABC):
    """A technique is its settings: they are its fields, and equal settings are equal techniques."""

    sees: ClassVar[Sees]
    rebuilds: ClassVar[bool] = False  # puts other modules into the graph: the model is evaluated as it is

    reshapes: ClassVar[bool] = False  # changes how large layers are, or which: the network is read again after it

    def supports(self, layer: Layer, weights: Quantizer | None) -> bool:
        """Whether it can improve `layer` with weights quantised this way (None: not known yet)."""
        return True

    def charged(self, workload: Workload, layers: Collection[str]) -> Workload:
        """What has to be paid for once it was applied to `layers`: the same network, unless it adds something to it."""
        return workload

    @abstractmethod
    def apply(self, graph: fx.GraphModule, bench: Bench, layers: Mapping[str, str]) -> None:
        """Improves `graph` in place: the float graph, or the Brevitas model if it sees quantised inputs.

        `layers` maps the names of the layers in its scope to their module paths in `graph`; `bench`
        has the calibration data. A technique that changes nothing is an error that the caller raises.
        """
