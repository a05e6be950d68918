"""The nodes of FINN's accelerators as values, with FINN's own formulas for their cycles and area.

FINN+ computes its estimates from the attributes of nodes alone. These dataclasses hold those attributes and state the
same formulas, so that a folding is priced in microseconds and without FINN; `tests/hwdse/finn_nodes` compares the two
with equality. Paths in docstrings lie in `finn/custom_op/fpgadataflow` of finn-plus 1.6.1.
"""

from hwdse.finn_nodes.fifo import Fifo, FifoRam
from hwdse.finn_nodes.kinds import KINDS
from hwdse.finn_nodes.matrix_vector import MvauHls, MvauRtl
from hwdse.finn_nodes.node import Dsp, MemMode, Multiplier, Node, RamStyle, dsp_of
from hwdse.finn_nodes.streams import (
    DataWidthConverter,
    DuplicateStreams,
    Elementwise,
    GlobalAccPool,
    LabelSelect,
    Pool,
)
from hwdse.finn_nodes.thresholding import ThresholdingHls, ThresholdingRtl
from hwdse.finn_nodes.vector_vector import VvauHls, VvauRtl
from hwdse.finn_nodes.window import ConvolutionInputGenerator, FMPadding

__all__ = [
    "KINDS",
    "ConvolutionInputGenerator",
    "DataWidthConverter",
    "Dsp",
    "DuplicateStreams",
    "Elementwise",
    "FMPadding",
    "Fifo",
    "FifoRam",
    "GlobalAccPool",
    "LabelSelect",
    "MemMode",
    "Multiplier",
    "MvauHls",
    "MvauRtl",
    "Node",
    "Pool",
    "RamStyle",
    "ThresholdingHls",
    "ThresholdingRtl",
    "VvauHls",
    "VvauRtl",
    "dsp_of",
]
