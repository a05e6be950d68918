"""What reads numbers once and writes them quantised: its ceiling is a copy."""

from functools import partial
from importlib import import_module

import torch
from torch import Tensor

from hwdse import fused
from hwdse.decoding import FLOATS
from hwdse.design import Quantizer
from hwdse.formats import parse
from hwdse.fused import Fused
from hwdse.gpu_measurements import Point
from hwdse.gpu_speed.library import numbers, rotated
from hwdse.gpu_speed.work import Count, Expected, Work, sampled
from hwdse.paths import embeddings

SCALE_BYTES = 4
SCALE = 0.05  # of what is quantised: normal numbers are then in the grid and beyond it


def fake_quantize(point: Point, count: Count, device: torch.device) -> Work:
    """Float32 to a format and back, `kernels/fake_quantize.py`."""
    kernel = import_module(fused.KERNEL)
    own = Fused.of(Quantizer.parse(point.activations), float(torch.tensor(SCALE)))
    x = numbers(point.m, point.k, torch.float32, device)
    y = torch.empty_like(x)

    def run(given: Tensor) -> Tensor:
        kernel.run(own, given, y)
        return y

    rows = sampled(point.m, device)
    exact = kernel.reference(own, x[rows].cpu()).double().to(device)
    expected = Expected(rows, torch.arange(point.k, device=device), exact)
    return Work(tuple(partial(run, each) for each in rotated(x, count)), 2 * x.nbytes, expected)


def quantise(point: Point, count: Count, device: torch.device) -> Work:
    """Float16 to numbers of a tensor core, each vector with a scale of its own, `kernels/quantise.py`."""
    kernel, fmt = import_module("hwdse.kernels.quantise"), parse(point.activations)
    operand = embeddings(fmt)[0].operand
    x = numbers(point.m, point.k, torch.float16, device)

    def run(given: Tensor) -> Tensor:
        codes: Tensor = kernel.run(given, fmt, operand).codes
        return codes

    rows = sampled(point.m, device)
    exact = kernel.reference(x[rows], fmt, operand).codes.double()
    expected = Expected(rows, torch.arange(point.k, device=device), exact)
    written = point.m * (point.k * bytes_of(operand) + SCALE_BYTES)
    return Work(tuple(partial(run, each) for each in rotated(x, count)), x.nbytes + written, expected)


def bytes_of(operand: str) -> int:
    """Of a number of a tensor core."""
    return 2 if operand in FLOATS else 1
