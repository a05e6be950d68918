"""RTL of a node as FINN's generator makes it."""

import tempfile
from pathlib import Path

from onnx import helper
from qonnx.custom_op.registry import getCustomOp

from hwdse.finn.messages import Generate, Generated

DOMAIN = "finn.custom_op.fpgadataflow.rtl"


def generate(request: Generate) -> Generated:
    """The files that FINN writes for the node."""
    attributes = {**dict(request.numbers), **dict(request.lists), **dict(request.texts)}
    node = helper.make_node(
        request.operation, ["in"], ["out"], name=request.name, domain=DOMAIN, backend="fpgadataflow", **attributes
    )
    with tempfile.TemporaryDirectory() as folder:
        operation = getCustomOp(node)
        operation.set_nodeattr("code_gen_dir_ipgen", folder)
        operation.generate_hdl(None, request.part, request.clock_ns)
        return Generated(tuple((path.name, path.read_text()) for path in sorted(Path(folder).iterdir())))
