"""What the worker does for each kind of request."""

from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

import finn.builder.build_dataflow  # noqa: F401 -- takes seconds, once

from hwdse.finn import messages
from hwdse.finn_worker import folding, models, rtl, steps


def hello(request: messages.Hello) -> messages.Versions:
    """What is imported."""
    return messages.Versions(version("finn-plus"), version("qonnx"), version("onnx"))


HANDLERS: Mapping[type, Callable[[Any], object]] = {
    messages.Hello: hello,
    messages.Write: models.write,
    messages.Execute: models.execute,
    messages.Estimate: steps.estimate,
    messages.Refold: folding.refold,
    messages.Generate: rtl.generate,
}


def answer(request: messages.Request[object]) -> object:
    """The answer to `request`."""
    return HANDLERS[type(request)](request)
