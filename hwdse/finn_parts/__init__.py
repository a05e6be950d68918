"""What units of FINN's RTL are made of: for each part as many LUTs and flip-flops as its structure has.

The cost model `finn-corrected` multiplies them by coefficients that `hwdse calibrate --finn` fits to synthesis. Paths
in docstrings lie in `finn/finn-rtllib` of finn-plus 1.6.1.
"""

from collections.abc import Callable, Mapping

from hwdse.finn_parts import matrix_vector, memories, streams, thresholds
from hwdse.finn_parts.part import Parameters, Parts

KINDS: Mapping[str, Callable[[Parameters], Parts]] = {
    "finn_mvu": matrix_vector.parts,
    "finn_vvu": matrix_vector.channelwise,
    "finn_thresholds": thresholds.parts,
    "finn_window": streams.window,
    "finn_padding": streams.padding,
    "finn_memstream": memories.memstream,
    "finn_fifo": memories.fifo,
    "finn_dwc": streams.dwc,
}
