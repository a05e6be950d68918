"""A build for a GPU read again: are its codes, scales and formats those of its design, layer by layer?

What runs is `model.py`, so that the formats are read off its calls, and codes and scales off the packed weights with
them. No layer of the design and no tensor that it quantises is left out, and no file is another one.
"""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from hwdse.artifact import DESIGN, Found
from hwdse.delivery import ArtifactError, check_files, manifest_of, read, said
from hwdse.design import Design, Quantizer
from hwdse.formats import decode, limits
from hwdse.gpu_folder import FLOW, MODEL
from hwdse.gpu_layers import HALVES, scale_shape
from hwdse.gpu_source import WEIGHTS
from hwdse.weight_codes import Packing

LAYERS = ("PackedLinear", "PackedConv2d", "GroupedConv2d")
Tensors = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Called:
    """A layer or a quantiser as `model.py` makes it."""

    path: str
    kind: str
    shape: tuple[int, int]  # rows and inputs of the weights; (0, 0) of a quantiser
    settings: Mapping[str, str]


def is_gpu(folder: Path) -> bool:
    """Whether `folder` is a build for a GPU, by its manifest; ArtifactError where it is no build at all."""
    return bool(said(folder).get("flow") == FLOW)


def verify(folder: Path) -> tuple[Found, ...]:
    """What was compared; ArtifactError says the first thing that is missing or not as it should be."""
    manifest = manifest_of(folder)
    check_files(folder, manifest)
    text = read(folder, DESIGN)
    try:
        design = Design.parse(text)
        calls, tensors = tuple(_calls(read(folder, MODEL))), load((folder / WEIGHTS).read_bytes())
        if design.digest != manifest.chosen:
            raise ValueError(f"its design is {design.digest}, and not {manifest.chosen}, which was chosen")
        _check_all(design, calls)
        found = tuple(one for call in calls for one in _compare(call, design, tensors))
    except (ValueError, SyntaxError, SafetensorError) as error:
        raise ArtifactError(f"the build in {folder} cannot be read: {error}") from None
    for one in found:
        if one.there != one.wanted:
            raise ArtifactError(f"{one.what} of layer {one.layer!r} is {one.wanted} in the design, not {one.there}")
    return found


# ---- the source ----------------------------------------------------------------------------------


def _calls(text: str) -> Iterator[Called]:
    """The layers and quantisers that `_put` puts into the model."""
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Call(
                func=ast.Name(id="_put"),
                args=[_, ast.Constant(value=str(path)), ast.Call(func=ast.Name(id=kind), args=args, keywords=keywords)],
            ) if kind in (*LAYERS, "Quantise"):
                given = [ast.literal_eval(arg) for arg in args]
                settings = {str(word.arg): ast.literal_eval(word.value) for word in keywords}
                yield _called(path, kind, given, settings)


def _called(path: str, kind: str, given: list[Any], settings: dict[str, Any]) -> Called:
    if kind == "Quantise":
        return Called(path, kind, (0, 0), {**settings, "activations": given[0]})
    if kind == "PackedLinear":
        return Called(path, kind, (given[1], given[0]), settings)
    inputs = given[0] // settings.get("groups", 1) * prod(given[2])
    return Called(path, kind, (given[1], inputs), settings)


def _check_all(design: Design, calls: tuple[Called, ...]) -> None:
    """ValueError unless each layer of the design is made once and each of its tensors quantised somewhere."""
    layers = [call.path for call in calls if call.kind in LAYERS]
    sites = {call.settings.get("site") for call in calls}
    for layer, _ in design.weights:
        if layers.count(layer) != 1:
            raise ValueError(f"{MODEL} makes layer {layer!r} {layers.count(layer)} times")
    for layer in layers:
        if layer not in dict(design.weights):
            raise ValueError(f"{MODEL} makes layer {layer!r}, which is not in the design")
    for site, _ in design.activations:
        if site not in sites:
            raise ValueError(f"{MODEL} quantises nothing at {site!r}, which is in the design")


# ---- one layer -----------------------------------------------------------------------------------


def _compare(call: Called, design: Design, tensors: Tensors) -> Iterator[Found]:
    site = str(call.settings.get("site"))
    if site not in dict(design.activations):
        raise ValueError(f"{MODEL} quantises {site!r}, which is not in the design")
    activations = dict(design.activations)[site]
    what = "the quantised tensor's format" if call.kind == "Quantise" else "the input's format"
    yield Found(call.path, what, str(call.settings.get("activations")), activations.name)
    name = f"{call.path}.scale" if call.kind == "Quantise" else f"{call.path}.grid.scale"
    if activations.format.name not in HALVES:
        yield from _scales(call.path, "the input's scale", _tensor(tensors, name), activations, ())
    if call.kind != "Quantise":
        yield from _weights(call, dict(design.weights)[call.path], tensors)


def _weights(call: Called, quantizer: Quantizer, tensors: Tensors) -> Iterator[Found]:
    """Format, codes and scales."""
    yield Found(call.path, "the weights' format", str(call.settings.get("weights")), quantizer.name)
    packing, words = Packing(quantizer.format, str(call.settings.get("layout"))), _tensor(tensors, f"{call.path}.words")
    wanted = packing.layout.shape(*call.shape)
    yield Found(call.path, "the shape of the words", str(words.shape), str(wanted))
    if words.shape == wanted and words.dtype == np.int32:
        count, own = prod(call.shape), _within(packing.codes(words, *call.shape), quantizer)
        yield Found(call.path, "the codes", f"{own:,} of {quantizer.name}", f"{count:,} of {quantizer.name}")
    scales = _tensor(tensors, f"{call.path}.scale")
    yield from _scales(call.path, "the weights' scale", scales, quantizer, scale_shape(quantizer, *call.shape))


def _within(codes: NDArray[np.uint8], quantizer: Quantizer) -> int:
    """How many of `codes` are numbers of the quantiser."""
    numbers = decode(quantizer.format, codes)
    low, high = limits(quantizer.format, quantizer.narrow)
    return int((np.isfinite(numbers) & (numbers >= low) & (numbers <= high)).sum())


def _scales(
    layer: str, what: str, scales: NDArray[Any], quantizer: Quantizer, shape: tuple[int, ...]
) -> Iterator[Found]:
    """Their number, and where the design has powers of two that they are such."""
    yield Found(layer, f"the shape of {what}", str(scales.shape), str(shape))
    kind = "powers of two" if quantizer.scale == "po2" else "positive"
    good = np.isfinite(scales) & (scales > 0)
    if quantizer.scale == "po2":
        good &= np.frexp(scales)[0] == 0.5
    yield Found(layer, what, f"{int(good.sum())} {kind}", f"{scales.size} {kind}")


def _tensor(tensors: Tensors, name: str) -> NDArray[Any]:
    if name not in tensors:
        raise ValueError(f"{WEIGHTS} has no {name!r}")
    return tensors[name]
