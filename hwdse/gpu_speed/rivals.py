"""Other people's kernels as baselines: gemlite and Humming, where they are installed.

Their calls are written after the sources of gemlite 0.6.0.post2 (`gemlite/helper.py`, `gemlite/core.py`) and
humming-kernels 0.1.19 (`humming/layer.py`, `forward.py`, `schema/humming.py`, `tune/base.py`).
"""

import json
from functools import cache, partial
from importlib import import_module
from importlib.resources import files
from typing import Any

import torch
from torch import Tensor

from hwdse.formats import Format, parse
from hwdse.gpu_measurements import Point
from hwdse.gpu_speed.driver import installed
from hwdse.gpu_speed.library import TYPES, numbers, weights
from hwdse.gpu_speed.work import TOLERANCE, AbsentError, Count, Work, product

GEMLITE, HUMMING = "gemlite", "humming-kernels"  # distributions
HUMMING_TENSORS = ("weight", "weight_scale", "weight_scale_2")  # of a layer, as `humming_forward` calls them
GEMLITE_BITS = (1, 2, 4, 8)  # gemlite/core.py, SUPPORTED_BITS_TRITON
# gemlite has tuned no H200; the H100 is the same chip with less memory. Shapes that its table lacks it tunes itself.
GEMLITE_TABLE = "configs/h100.json"
# Relative error, in the norm, of numbers up to five deviations in steps of a 127th: 5 / 127 / sqrt(12) = 1 / 88.
QUANTISED = 1 / 64
SIXTEEN = ("float16", "bfloat16")


def _there(distribution: str) -> None:
    if installed(distribution) is None:
        raise AbsentError("not installed")


# ---- gemlite -------------------------------------------------------------------------------------


def gemlite(point: Point, count: Count, device: torch.device) -> Work:
    """`gemlite.core.forward_functional` of a layer of integers that gemlite's helpers make."""
    _there(GEMLITE)
    fmt = parse(point.weights)
    if fmt.exponent > 0 or fmt.bits not in GEMLITE_BITS:
        raise AbsentError(f"gemlite has integers of {', '.join(map(str, GEMLITE_BITS))} bits, not {point.weights}")
    package = _gemlite()
    dtype = TYPES[point.activations] if point.activations in SIXTEEN else torch.float16
    layer, dense = _gemlite_layer(package.helper, point, fmt.bits, dtype, device)
    x = numbers(point.m, point.k, dtype, device)
    tensors, meta = layer.get_tensor_args(), layer.get_meta_args()
    moved = sum(tensor.nbytes for tensor in tensors)
    copied = [tensors, *([tensor.clone() for tensor in tensors] for _ in range(count(moved) - 1))]
    calls = tuple(partial(package.forward_functional, x, None, own, meta) for own in copied)
    if point.activations in SIXTEEN:
        return Work(calls, moved, product(x, dense), TOLERANCE[dtype])
    return Work(calls, moved, product(x, dense), QUANTISED, "with quantising the activations")


@cache
def _gemlite() -> Any:
    package = import_module("gemlite")
    if "h200" in torch.cuda.get_device_name().lower():
        package.load_config(str(files(GEMLITE) / GEMLITE_TABLE))
    return package


def _gemlite_layer(
    helper: Any, point: Point, bits: int, dtype: torch.dtype, device: torch.device
) -> tuple[Any, Tensor]:
    """A layer and its weights, `(codes - 2**(bits-1)) * scales`."""
    group = point.group or point.k
    codes = torch.randint(0, 1 << bits, (point.n, point.k), device=device, dtype=torch.int16)
    step = 8 / (0.29 * 2**bits * point.k**0.5)  # the deviation of equally likely codes is 0.29 * 2**bits: sums about 8
    scales = ((torch.rand(point.n * point.k // group, 1, device=device) + 0.5) * step).to(dtype)
    middle = 1 << bits - 1
    dense = (codes - middle).float() * scales.float().view(point.n, -1).repeat_interleave(group, 1)
    if bits == 8 and point.group is None:
        made = helper.A16W8_INT8 if point.activations in SIXTEEN else helper.A8W8_INT8_dynamic
        return made(str(device), dtype).from_weights((codes - middle).to(torch.int8), scales=scales), dense
    if point.activations not in SIXTEEN:
        raise AbsentError(f"gemlite is timed with {point.activations} on int8 with a scale of each output alone")
    made = helper.A16Wn_HQQ_INT(str(device), dtype, bits)
    return made.from_weights(codes.to(torch.uint8), scales, torch.full_like(scales, middle)), dense


# ---- Humming -------------------------------------------------------------------------------------


def humming_name(fmt: Format) -> str:
    """Humming's name of a format: `int4`, `float6e3m2`."""
    return fmt.name if fmt.exponent == 0 else f"float{fmt.bits}e{fmt.exponent}m{fmt.mantissa}"


def humming(point: Point, count: Count, device: torch.device) -> Work:
    """`humming.forward.humming_forward` of a layer that Humming quantises; quantising activations is not in it."""
    _there(HUMMING)
    sixteen = point.activations in SIXTEEN
    dtype = TYPES[point.activations] if sixteen else torch.bfloat16
    layer, dense = _humming_layer(point, dtype, None if sixteen else humming_name(parse(point.activations)), device)
    forward: Any = import_module("humming.forward")
    config, x = layer.humming_config, numbers(point.m, point.k, dtype, device)
    given, scale = forward.may_quant_input(config, x)
    stored = {name: own.data for name in HUMMING_TENSORS if (own := getattr(layer, name, None)) is not None}
    moved = sum(tensor.nbytes for tensor in stored.values())
    copied = [stored, *({name: own.clone() for name, own in stored.items()} for _ in range(count(moved) - 1))]
    # What Humming chooses for so many vectors. Without it Humming chooses, and compiles, for every number up to 8192.
    tuned = json.dumps(import_module("humming.tune").get_heuristics_config(config, shape_m=point.m, device=device))
    calls = tuple(
        partial(
            forward.humming_forward, config, given, **own, input_scale=scale, locks=layer.locks, tuning_config=tuned
        )
        for own in copied
    )
    read = x if scale is None else given.float() * scale.float().view(-1, 1)
    return Work(calls, moved, product(read, dense), TOLERANCE[dtype], "" if sixteen else "activations quantised before")


def _humming_layer(
    point: Point, dtype: torch.dtype, activations: str | None, device: torch.device
) -> tuple[Any, Tensor]:
    """A layer on the GPU in the layout that its kernel reads, and its weights as Humming says that they are."""
    made: Any = import_module("humming.layer")
    config = {"dtype": humming_name(parse(point.weights))} | (
        {} if point.group is None else {"group_size": point.group}
    )
    given = None if activations is None else {"dtype": activations}
    layer = made.HummingLayer(point.n, point.k, config, given, torch_dtype=dtype).to(device)
    schema = layer.weight_schema
    tensors = schema.quant_tensor(weights(point.n, point.k, dtype, device), schema, dtype)
    dense = schema.dequant_tensors(tensors)
    layer.load_from_tensors(tensors)
    layer.transform()
    return layer, dense
