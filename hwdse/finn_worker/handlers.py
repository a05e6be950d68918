"""What the worker does for each kind of request."""

from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

import finn.builder.build_dataflow  # noqa: F401 -- takes seconds, once
from finn.transformation.fpgadataflow.templates import custom_zynq_shell_template
from finn.util.basic import alveo_part_map, pynq_part_map

from hwdse.finn import messages
from hwdse.finn_worker import folding, models, own_folding, rtl, steps


def hello(request: messages.Hello) -> messages.Versions:
    """What is imported."""
    return messages.Versions(version("finn-plus"), version("qonnx"), version("onnx"))


def boards(request: messages.Boards) -> messages.KnownBoards:
    """The boards of FINN's two flows for bitstreams: it knows parts of others, for which it has none."""
    zynq = {name: part for name, part in pynq_part_map.items() if f'$BOARD == "{name}"' in custom_zynq_shell_template}
    flows = (("vivado_zynq", zynq), ("vitis_alveo", alveo_part_map))
    return messages.KnownBoards(
        tuple(messages.Board(name, part, shell) for shell, parts in flows for name, part in parts.items())
    )


HANDLERS: Mapping[type, Callable[[Any], object]] = {
    messages.Hello: hello,
    messages.Write: models.write,
    messages.Execute: models.execute,
    messages.Estimate: steps.estimate,
    messages.Refold: folding.refold,
    messages.FoldFor: own_folding.fold_for,
    messages.FoldAs: own_folding.fold_as,
    messages.BuildSteps: steps.build_steps,
    messages.Boards: boards,
    messages.Generate: rtl.generate,
}


def answer(request: messages.Request[object]) -> object:
    """The answer to `request`."""
    return HANDLERS[type(request)](request)
