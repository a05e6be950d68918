"""A QONNX file taken through FINN's steps, one by one, and what each gives executed on the same images.

The functions of the steps are called themselves: FINN's builder returns a number and writes what went wrong to a log,
and some of what goes wrong is not said at all (a node left outside, a folding that divides nothing).
"""

import time
from collections import Counter
from inspect import getmembers, isfunction
from pathlib import Path
from typing import Any

import finn.builder.build_dataflow_config as config
import numpy as np
from finn.builder.build_dataflow_steps import build_dataflow_step_lookup
from finn.core.onnx_exec import execute_onnx
from finn.util.verification import despecialize_model
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from hwdse.finn.messages import BuildSteps, Estimate, Estimated, Recipe, Step
from hwdse.finn_worker import folding, hwdse_steps
from hwdse.finn_worker.folding import kind
from hwdse.finn_worker.models import INTEGERS

PREFIX = "step_"
RELUS, CLIPS = "unsigned_behind_relu", "clipped_by_quantisers"
BITS, FLAT = "bits_of_size_one", "flat_bits"
RESIDUAL, SUMS = "resnet_streamline", "sums_for_average_pools"
PARTITION, FOLDING, REPORTS = "create_dataflow_partition", "target_fps_parallelization", "generate_estimate_reports"
MOVING = ("Transpose", "Flatten", "Reshape")  # what may stay outside: it computes nothing
XNOR = "XnorPopcountMatMul"
WEIGHTED = ("MatMul", "Conv", "MVAU", "VVAU", XNOR)

Array = np.ndarray[Any, Any]


def estimate(request: Estimate) -> Estimated:
    """FINN's estimates, and a file with what the network gives after each step."""
    if (request.target_fps is None) == (not request.folding):
        raise ValueError("an estimate has a target rate or a folding, and not both")
    folding.check_part(request.part)
    build, images = _config(request), np.load(request.images, allow_pickle=False)
    model = ModelWrapper(request.model)
    codes = {layer: _codes(_stored(model, layer)) for layer in request.layers}
    done: list[Step] = []
    results: dict[str, Array] = {}
    outside: tuple[str, ...] = ()
    for name in _names(model):
        if name == FOLDING and request.folding:
            folding.fold(model, request.folding)
            folding.check(model, _layers(model, codes))
            continue
        start = time.monotonic()
        model = _stepped(name, model, build, codes)
        done.append(Step(name, time.monotonic() - start, _operations(model)))
        if name == PARTITION:
            parent = ModelWrapper(str(Path(request.folder) / "intermediate_models" / "dataflow_parent.onnx"))
            outside = _outside(parent, codes)
            images = _entering(parent, images)
        results[name] = _executed(model, images)
    np.savez(request.out, allow_pickle=False, **results)
    layers, file = _layers(model, codes), Path(request.folder) / "folded.onnx"
    if missing := sorted(set(codes) - set(layers.values())):
        raise ValueError(f"FINN has no unit with the weights of {missing[0]!r}")
    folding.check(model, layers)
    model.save(str(file))
    return Estimated(tuple(done), outside, str(file), folding.price(model, request.part, layers))


def _config(request: Estimate) -> Any:
    for name in ("intermediate_models", "report"):
        (Path(request.folder) / name).mkdir(parents=True)
    return config.DataflowBuildConfig(
        output_dir=request.folder,
        synth_clk_period_ns=request.clock_ns,
        fpga_part=request.part,
        target_fps=request.target_fps,
        standalone_thresholds=True,  # so that matrix-vector units can be RTL
        console_log_level=config.LogLevel.NONE,
        generate_outputs=[],
    )


def build_steps(request: BuildSteps) -> Recipe:
    """The steps of a whole build of a QONNX file, by the names that FINN's builder finds them by."""
    names = _with_ours(config.default_build_dataflow_steps, ModelWrapper(request.model))
    file = Path(hwdse_steps.__file__).stem
    return Recipe(tuple(f"{file}.{name}" if name in OURS else f"{PREFIX}{name}" for name in names))


def _names(model: Any) -> list[str]:
    """Ours and FINN's own steps up to the estimates, without the one that writes reports."""
    return [name for name in _with_ours(config.estimate_only_dataflow_steps, model) if name != REPORTS]


def _with_ours(steps: list[str], model: Any) -> list[str]:
    """Steps of FINN, and those of ours that `model` needs."""
    names = [name.removeprefix(PREFIX) for name in steps]
    if _joins(model):  # what FINN has for residual networks; its default step leaves factors behind the adds
        names[names.index("streamline")] = RESIDUAL
    names.insert(names.index("convert_to_hw"), SUMS)
    return [RELUS, *_for_bits(model), *names]


def _for_bits(model: Any) -> list[str]:
    """The steps that a network of few bits needs."""
    quantisers = model.get_nodes_by_op_type("BipolarQuant")
    needs = {
        CLIPS: bool(model.get_nodes_by_op_type("Clip")),
        BITS: any(model.get_initializer(node.input[0]) is None for node in quantisers),
        FLAT: model.get_tensor_datatype(model.graph.input[0].name) == DataType["BIPOLAR"],
    }
    return [name for name, needed in needs.items() if needed]


def _joins(model: Any) -> bool:
    """Whether two streams are added somewhere."""
    adds = model.get_nodes_by_op_type("Add")
    return any(all(model.get_initializer(name) is None for name in node.input) for node in adds)


# All of the delivered file: a step that lies elsewhere would not be there where FINN's builder runs.
OURS = {
    name: step
    for name, step in getmembers(hwdse_steps, isfunction)
    if step.__module__ == hwdse_steps.__name__ and not name.startswith("_")
}
STEPS = {name.removeprefix(PREFIX): step for name, step in build_dataflow_step_lookup.items()} | OURS


def _stepped(name: str, model: Any, build: Any, codes: dict[str, bytes]) -> Any:
    """The network after a step; what goes wrong names layers too."""
    layers = _layers(model, codes)
    try:
        return STEPS[name](model, build)
    except Exception as error:
        said = str(error)
        named = [f"{node} is {layer!r}" for node, layer in layers.items() if node in said.replace(",", " ").split()]
        hint = f" ({', '.join(named)})" if named else ""
        raise ValueError(f"step {name} failed: {type(error).__name__}: {said}{hint}") from error


def _operations(model: Any) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(Counter(str(node.op_type) for node in model.graph.node).items()))


# ---- execution -----------------------------------------------------------------------------------


def _executed(model: Any, images: Array) -> Array:
    """What leaves, image by image: nodes of the accelerator work on one."""
    images = _entered(model, images)
    special = any(node.op_type != kind(node) for node in model.graph.node)
    runs = despecialize_model(model) if special else model
    entering, leaving = runs.graph.input[0].name, runs.graph.output[0].name
    return np.concatenate([execute_onnx(runs, {entering: image})[leaving] for image in images])


def _entered(model: Any, images: Array) -> Array:
    """`images` as they enter, one by one: flat where they do, and bits as 0 and 1 where FINN counts equal ones."""
    entering = model.graph.input[0].name
    if model.get_tensor_datatype(entering) == DataType["BINARY"]:
        images = (images > 0).astype(images.dtype)  # of -1 and 1; 0 and 1 stay
    return images.reshape(len(images), *model.get_tensor_shape(entering))


def _entering(parent: Any, images: Array) -> Array:
    """What enters the accelerator when `images` enter the network around it."""
    (partition,) = parent.get_nodes_by_op_type("StreamingDataflowPartition")
    name = parent.graph.input[0].name
    images = _entered(parent, images)
    contexts = [execute_onnx(parent, {name: image}, return_full_exec_context=True) for image in images]
    return np.concatenate([context[partition.input[0]] for context in contexts])


def _outside(parent: Any, codes: dict[str, bytes]) -> tuple[str, ...]:
    """The operations around the accelerator; ValueError for one that computes."""
    nodes = [node for node in parent.graph.node if node.op_type != "StreamingDataflowPartition"]
    layers = _layers(parent, codes)
    for node in nodes:
        if node.op_type not in MOVING:
            what = f"{node.op_type} {node.name!r}" + (f" of layer {layers[node.name]!r}" if node.name in layers else "")
            raise ValueError(f"FINN leaves {what} outside of the accelerator")
    return tuple(str(node.op_type) for node in nodes)


# ---- layers --------------------------------------------------------------------------------------


def _stored(model: Any, layer: str) -> Array:
    """The weights of `layer` in an exported file, as whole numbers."""
    node = model.get_node_from_name(layer)
    quantiser = None if node is None else model.find_producer(node.input[1])
    if quantiser is None or quantiser.op_type not in INTEGERS:
        raise ValueError(f"FINN maps integer weights, unlike those of {layer!r}")
    weights = model.get_initializer(quantiser.input[0]) / model.get_initializer(quantiser.input[1])
    return np.round(weights)  # type: ignore[no-any-return]


def _codes(weights: Array) -> bytes:
    """Names weights wherever FINN has put them: those that are not zero, in order of size."""
    values = np.sort(weights[weights != 0].reshape(-1))
    return np.round(values).astype(np.int64).tobytes()


def _layers(model: Any, codes: dict[str, bytes]) -> dict[str, str]:
    """Node -> layer, by weights: FINN renames all nodes. Layers with equal weights follow in order."""
    left, found = dict(codes), {}
    for node in model.graph.node:
        weights = model.get_initializer(node.input[1]) if kind(node) in WEIGHTED else None
        if weights is not None and _counts(node):
            weights = 2 * weights - 1  # of 0 and 1, which FINN has for -1 and 1
        if weights is not None:
            own = _codes(weights)
            layer = next((layer for layer, other in left.items() if other == own), None)
            if layer is not None:
                found[str(node.name)] = layer
                del left[layer]
    return found


def _counts(node: Any) -> bool:
    """Whether a node counts equal bits instead of multiplying."""
    return node.op_type == XNOR or (kind(node) == "MVAU" and bool(getCustomOp(node).get_nodeattr("binaryXnorMode")))
