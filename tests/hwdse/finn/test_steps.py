"""What remains outside of an accelerator, and whose weights a node of FINN has; in FINN's own Python."""

import subprocess
from pathlib import Path

from hwdse.finn_worker import __file__ as package
from tests.hwdse.finn.fakes import real_environment

PROGRAM = """
import sys
from pathlib import Path
from types import ModuleType

import numpy as np

hwdse = ModuleType("hwdse")
hwdse.__path__ = [sys.argv[1]]
sys.modules["hwdse"] = hwdse

from hwdse.finn_worker import without_vivado, steps
from onnx import helper
from qonnx.core.modelwrapper import ModelWrapper

def model(nodes, **arrays):
    ends = [helper.make_tensor_value_info(name, 1, [1, 2]) for name in ("x", "y")]
    made = ModelWrapper(helper.make_model(helper.make_graph(nodes, "g", ends[:1], ends[1:])))
    for name, array in arrays.items():
        made.set_initializer(name, np.array(array, np.float32))
    return made

first, second = [[1, 0], [-3, 2]], [[1, 1], [0, 0]]
codes = {"fc1": steps._codes(np.array(first)), "fc2": steps._codes(np.array(second))}
swapped = model(
    [helper.make_node("MatMul", list(names[:2]), [names[2]], name="a" + names[0]) for names in ("xbh", "hay")],
    a=np.array(first).T, b=second,
)
assert steps._layers(swapped, codes) == {"ax": "fc2", "ah": "fc1"}
other = model([helper.make_node("MatMul", ["x", "a"], ["y"], name="a0")], a=[[1, 1], [1, 1]])
assert steps._layers(other, codes) == {}

partition = helper.make_node("StreamingDataflowPartition", ["h"], ["y"], name="p")
moved = model([helper.make_node("Transpose", ["x"], ["h"], name="t"), partition])
assert steps._outside(moved, codes) == ("Transpose",)
for nodes, sentence in (
    ([helper.make_node("MatMul", ["x", "a"], ["h"], name="m"), partition], "MatMul 'm' of layer 'fc1'"),
    ([helper.make_node("Mul", ["x", "a"], ["h"], name="m"), partition], "Mul 'm'"),
):
    try:
        steps._outside(model(nodes, a=first), codes)
    except ValueError as error:
        assert str(error) == f"FINN leaves {sentence} outside of the accelerator", error
    else:
        raise AssertionError(sentence)
"""


def test_what_computes_is_inside_and_known_by_its_weights(tmp_path: Path) -> None:
    python, root = real_environment().python, Path(package).parents[1]
    settings = {"FINN_BUILD_DIR": str(tmp_path), "FINN_SETTINGS": str(tmp_path / "none")}
    command = [str(python), "-I", "-c", PROGRAM, str(root)]
    done = subprocess.run(command, env=settings, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
