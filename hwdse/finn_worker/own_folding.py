"""FINN's own two ways to fold a network, by the steps of its builder: its heuristic for a rate, and its folding file.

They are those of a whole build, on a network that has been through all steps: neither depends on the folding before it.
"""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import finn.builder.build_dataflow_config as config
from finn.builder.build_dataflow_steps import step_apply_folding_config, step_target_fps_parallelization
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from hwdse.finn.messages import FoldAs, FoldFor, Priced
from hwdse.finn_worker import folding

DEFAULTS = "Defaults"


def fold_for(request: FoldFor) -> Priced:
    """The price of a network that FINN's heuristic has folded."""
    wish = {"target_fps": request.target_fps, "synth_clk_period_ns": request.clock_ns}
    return _priced(request, step_target_fps_parallelization, wish)


def fold_as(request: FoldAs) -> Priced:
    """The price of a network that FINN has folded as a file says; FINN passes over names that it does not know."""
    _check(ModelWrapper(request.model), json.loads(Path(request.file).read_text()))
    return _priced(
        request, step_apply_folding_config, {"folding_config_file": request.file, "synth_clk_period_ns": 5.0}
    )


def _priced(request: FoldFor | FoldAs, step: Any, wish: dict[str, Any]) -> Priced:
    folding.check_part(request.part)
    layers = dict(request.layers)
    with TemporaryDirectory() as folder:
        build = config.DataflowBuildConfig(
            output_dir=folder,
            fpga_part=request.part,
            console_log_level=config.LogLevel.NONE,
            generate_outputs=[],
            **wish,
        )
        model = step(ModelWrapper(request.model), build)
    folding.check(model, layers)
    return folding.price(model, request.part, layers)


def _check(model: Any, said: dict[str, dict[str, object]]) -> None:
    """ValueError unless the file names every node, no other, and attributes that they have."""
    nodes = {str(node.name): getCustomOp(node).get_nodeattr_types() for node in model.graph.node}
    names = [name for name in said if name != DEFAULTS]
    for name in names:
        if name not in nodes:
            raise ValueError(f"no node {name!r} to fold; known: {', '.join(nodes)}")
        if absent := sorted(set(said[name]) - set(nodes[name])):
            raise ValueError(f"node {name!r} has no {absent[0]}")
    if missing := sorted(set(nodes) - set(names)):
        raise ValueError(f"the folding file says nothing of node {missing[0]!r}")
