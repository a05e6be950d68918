"""What a leaf module is made of: LUTs and flip-flops of its physical parts, from its parameters, and its blocks.

The counts follow from what the RTL in `hls_templates/rtl` builds and from what a LUT and a carry chain hold; the cost
model multiplies each part by a coefficient fitted to synthesis, which is near 1 where the count is right. Parameters
are arrays, one element for each unit, so that a million foldings are one call.
"""

from hwdse.structure.blocks import Fabric, Part, Parts, Table
from hwdse.structure.units import blocks, modules, parts

__all__ = ["Fabric", "Part", "Parts", "Table", "blocks", "modules", "parts"]
