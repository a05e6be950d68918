"""Run by FINN's Python as `in_finn.py HWDSE NODES ANSWERS`: what FINN estimates for nodes that are in no network.

NODES is JSON: a list of [operation, attributes, part]. ANSWERS gets, for each, the node as hwdse reads it and FINN's
cycles, LUTs, block RAMs, UltraRAMs and DSPs.
"""

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

package = ModuleType("hwdse")
package.__path__ = [sys.argv[1]]
sys.modules["hwdse"] = package

from onnx import helper  # noqa: E402
from qonnx.custom_op.registry import getCustomOp  # noqa: E402

from hwdse.finn import messages  # noqa: E402
from hwdse.finn_worker import (  # noqa: E402
    nodes,
    without_vivado,  # noqa: F401
)


def answer(operation: str, attributes: dict[str, Any], part: str) -> dict[str, object]:
    """Of one node."""
    domain = f"finn.custom_op.fpgadataflow.{operation.rsplit('_', 1)[1]}"
    node = helper.make_node(operation, ["x", "w", "t"], ["y"], domain=domain, backend="fpgadataflow", **attributes)
    op, ours = getCustomOp(node), nodes.of(node, part)
    area = op.node_res_estimation(part)
    numbers = [int(op.get_exp_cycles()), *(int(area[key]) for key in ("LUT", "BRAM_18K", "URAM", "DSP"))]
    return {"node": None if ours is None else messages.plain(ours), "numbers": numbers}


found = [answer(*asked) for asked in json.loads(Path(sys.argv[2]).read_text())]
Path(sys.argv[3]).write_text(json.dumps(found))
