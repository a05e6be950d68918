"""What the host program of a board is told of an accelerator: `accelerator.json`, whose fields `host.py` documents."""

import json
from importlib.resources import files
from itertools import pairwise
from math import prod
from typing import Any

from hwdse.board_top import beat_bytes, rate
from hwdse.boards import Board
from hwdse.design import Quantizer
from hwdse.formats import encode, limits, quantise, values
from hwdse.generator import Accelerator
from hwdse.network import Network


def image_bytes(network: Network, accelerator: Accelerator) -> int:
    """The bytes of an image on the line."""
    beats = prod(network.tensor(network.input).shape) // accelerator.lanes_in
    return beats * beat_bytes(accelerator.lanes_in * accelerator.code_bits)


def program(network: Network, accelerator: Accelerator, board: Board, queue: int) -> tuple[tuple[str, bytes], ...]:
    """`host.py` and `accelerator.json`; `queue`: bytes that may wait before the accelerator.

    ValueError where they are less than an image.
    """
    ahead = queue // image_bytes(network, accelerator)
    if ahead == 0:
        needed = image_bytes(network, accelerator)
        raise ValueError(f"the queue of a board holds an image, here of {needed} bytes, unlike one of {queue}")
    source = (files("hwdse.hls_templates") / "host" / "host.py").read_bytes()
    said = {
        "baud": rate(board.clock_mhz).baud,
        "images_ahead": ahead,
        "input": _input(network, accelerator),
        "output": _output(network, accelerator),
    }
    return (("host.py", source), ("accelerator.json", (json.dumps(said, indent=1) + "\n").encode()))


def _input(network: Network, accelerator: Accelerator) -> dict[str, Any]:
    tensor = network.tensor(network.input)
    lanes = {"bits": accelerator.code_bits, "lanes": accelerator.lanes_in}
    return {"shape": list(tensor.shape), "scale": tensor.scale, **code_table(tensor.quantizer), **lanes}


def code_table(quantizer: Quantizer) -> dict[str, list[Any]]:
    """The values that quantising gives, ascending, their codes, and which of two neighbours has their middle."""
    fmt, narrow = quantizer.format, quantizer.narrow
    low, high = limits(fmt, narrow)
    known = [value for value in values(fmt) if low <= value <= high]
    middles = [(a + b) / 2 for a, b in pairwise(known)]
    ties = (quantise(fmt, middles, narrow=narrow) == known[1:]).tolist() if middles else []
    return {"values": known, "codes": encode(fmt, known, narrow=narrow).tolist(), "ties": ties}


def _output(network: Network, accelerator: Accelerator) -> dict[str, Any]:
    """The sums of an image come position by position, the channels of a position one after the other."""
    layer, meaning = network.nodes[-1].layer, network.logits
    scales, biases = (list(row) * layer.positions for row in (meaning.scales, meaning.biases))
    return {"bits": accelerator.sum_bits, "lanes": accelerator.lanes_out, "scales": scales, "biases": biases}
