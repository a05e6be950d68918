"""The kinds of nodes, by the names of their classes: how a message says which one it has."""

from collections.abc import Mapping

from hwdse.finn_nodes.fifo import Fifo
from hwdse.finn_nodes.matrix_vector import MvauHls, MvauRtl
from hwdse.finn_nodes.node import Node
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

KINDS: Mapping[str, type[Node]] = {
    kind.__name__: kind
    for kind in (
        MvauHls,
        MvauRtl,
        VvauHls,
        VvauRtl,
        ThresholdingHls,
        ThresholdingRtl,
        ConvolutionInputGenerator,
        FMPadding,
        Pool,
        GlobalAccPool,
        DuplicateStreams,
        Elementwise,
        LabelSelect,
        DataWidthConverter,
        Fifo,
    )
}
