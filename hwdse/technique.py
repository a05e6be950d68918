"""The contract of a post-training quantisation technique.

A technique is one file in `hwdse/techniques/`, found by its file name. What it declares to see
decides what its result may be cached by.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from hwdse.formats import Format
    from hwdse.quantize import Bench, QuantizedModel
    from hwdse.workload import Layer


class Sees(StrEnum):
    """What a technique looks at: the key under which its result may be reused."""

    WEIGHTS = "weights"  # the float network alone
    FLOAT_INPUTS = "float inputs"  # also calibration activations of the float network
    QUANTIZED_INPUTS = "quantized inputs"  # also the quantised layers before it


@dataclass(frozen=True)
class Technique(ABC):
    """A technique is its settings: they are its fields, and equal settings are equal techniques."""

    sees: ClassVar[Sees]

    @abstractmethod
    def supports(self, layer: Layer, weights: Format) -> bool:
        """Whether it can improve `layer` with weights of this format."""

    @abstractmethod
    def apply(self, model: QuantizedModel, bench: Bench, scope: tuple[str, ...]) -> None:
        """Improves the layers of `scope` in place; raises ValueError if that changes nothing."""
