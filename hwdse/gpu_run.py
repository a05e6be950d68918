"""Checks a build for a GPU on its stored sample, layer by layer, and times it where a GPU is: `python run.py`.

A build carries this file. Every layer is held against its plain reference, on what it reads: sums may be apart by
roundings alone. Classes are those of the stored logits, which Brevitas's model gave.
"""

import argparse
import json
import statistics
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from hwdse.gpu_layers import PackedLayer

MODEL = "model"  # beside this file
REPLAYS = 20  # of which the median is said
# Roundings of a term of a sum beside those of adding it: two scales, their product, that with the sum, and the bias;
# of a group its scale and the sum of groups; and of each program that shares the inputs of an output, 16 at most.
OF_A_TERM, OF_A_GROUP, OF_PROGRAMS = 5, 2, 16
# A tensor core cuts off where float32 rounds (Fasi, Higham, Mikaitis and Pranesh, Numerical behavior of NVIDIA tensor
# cores, PeerJ Computer Science 2021).
UNIT = {"cpu": 2.0**-24, "cuda": 2.0**-23}
# Those of Ada and Hopper add 32 products of 8-bit floats and the sum so far, Ada in two parts, with 13 bits after the
# point of the largest (`kernels/a8.py`), four times before a sum goes on in float32. What a library does is not
# published; it is held to the same.
OF_FLOAT8 = 4 * 34 * 2.0**-13
# Of a weight that `unpack` rounds with its scale: half a step of its float (`kernels/unpack.py`). Triton's interpreter,
# on a CPU, cuts bfloat16 off.
OF_A_WEIGHT = {
    "cpu": {"float16": 2.0**-11, "bfloat16": 2.0**-7},
    "cuda": {"float16": 2.0**-11, "bfloat16": 2.0**-8},
}


def check(model: nn.Module, images: Tensor) -> tuple[Tensor, list[tuple[str, str, float]]]:
    """The logits, and of each layer its path, what computed it and its worst sum in units of the bound."""
    found: list[tuple[str, str, float]] = []

    def look(path: str, layer: PackedLayer, given: tuple[Tensor, ...], result: Tensor) -> None:
        seen = layer.vectors(given[0])
        expected = layer.reference(seen)
        apart = (layer.flat(result).double() - expected.double()).abs()
        bound = _bound(layer, layer.chosen(len(seen)), given[0], seen)
        worst = float((apart / bound.clamp_min(torch.finfo(torch.float64).tiny)).max())
        found.append((path, layer.chosen(len(seen)), worst))

    hooks = [
        layer.register_forward_hook(lambda own, given, result, path=path: look(path, own, given, result))
        for path, layer in model.named_modules()
        if isinstance(layer, PackedLayer)
    ]
    with torch.no_grad():
        logits: Tensor = model(images)
    for hook in hooks:
        hook.remove()
    return logits, found


def _bound(layer: PackedLayer, kernel: str, x: Tensor, seen: Tensor) -> Tensor:
    """How far each of the `m x rows` sums may be off, in float64, for the input `x`, whose vectors are `seen`."""
    device = seen.device.type
    share = _share(layer, kernel, device)
    name, _, arithmetic = kernel.partition(" ")
    if name != "unpack":
        return share * layer.magnitudes(seen)
    from hwdse.gpu_products import subnormal  # needs Triton, as what has run

    more = subnormal(layer, x, kernel)
    if more is None:
        return share * layer.magnitudes(seen)
    rounded = (1 + share) * (1 + OF_A_WEIGHT[device][arithmetic]) - 1
    return rounded * layer.magnitudes(seen) + (1 + share) * more


def _share(layer: PackedLayer, kernel: str, device: str) -> float:
    """How much of the magnitudes of its terms a sum may be off."""
    roundings = layer.inputs + OF_A_TERM + OF_A_GROUP * layer.scales.shape[1] + OF_PROGRAMS
    return roundings * UNIT[device] + OF_FLOAT8 * (device == "cuda" and " fp8" in kernel)


def microseconds(model: nn.Module, images: Tensor) -> float:
    """Of one batch, by a CUDA graph: the median of `REPLAYS`."""
    with torch.no_grad():
        stream, current = torch.cuda.Stream(), torch.cuda.current_stream()
        stream.wait_stream(current)  # what fills the images
        with torch.cuda.stream(stream):
            for _ in range(3):
                model(images)
        current.wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            model(images)
        return statistics.median(_replay(graph) for _ in range(REPLAYS))


def _replay(graph: Any) -> float:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    graph.replay()
    end.record()
    torch.cuda.synchronize()
    return 1e3 * float(start.elapsed_time(end))


def main(load: Any, folder: Path, arguments: list[str]) -> int:
    """The command; `load` is that of `model.py`. 1 where something is not as it should be, 2 for bad input."""
    parser = argparse.ArgumentParser(prog="run.py", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", help="cuda where there is a GPU, else cpu")
    parser.add_argument("--kernels", nargs="*", default=[], metavar="LAYER=KERNEL", help="=KERNEL: for all layers")
    parser.add_argument("--images", type=int, help="of the sample, or sequences; all otherwise")
    parser.add_argument("--list", action="store_true", help="only what each layer would run")
    given = parser.parse_args(arguments)
    try:
        model = load(given.device, dict(map(_forced, given.kernels)))
        if given.list:
            return _list(model)
        return _run(model, folder, _sample(folder, given.images))
    except ValueError as error:
        print(f"run.py: {error}", file=sys.stderr)
        return 2


def _forced(wish: str) -> tuple[str, str]:
    """The layer and the kernel of `LAYER=KERNEL`."""
    layer, equals, kernel = wish.partition("=")
    if not equals:
        raise ValueError(f"a kernel is forced by LAYER=KERNEL, or for all layers by =KERNEL, not by {wish!r}")
    return layer, kernel


def _sample(folder: Path, count: int | None) -> dict[str, Tensor]:
    """The first `count` images, what is right for them, and Brevitas's logits."""
    whole = load_file(folder / "sample.safetensors")
    most = len(whole["images"])
    if count is not None and not 1 <= count <= most:
        raise ValueError(f"the sample has {most} {_what(whole['images'])}, of which 1 or more are run, not {count}")
    return {name: tensor[:count] for name, tensor in whole.items()}


def _what(images: Tensor) -> str:
    return "images" if images.is_floating_point() else "sequences"


def _list(model: nn.Module) -> int:
    for path, layer in model.named_modules():
        if isinstance(layer, PackedLayer):
            print(path, layer.packing.fmt.name, layer.choices or layer.chosen(1))
    return 0


def _run(model: nn.Module, folder: Path, sample: dict[str, Tensor]) -> int:
    """Checks and times the model; 1 where a layer is wrong."""
    images = sample["images"].to(next(iter(model.buffers())).device)
    logits, found = check(model, images)
    for path, name, worst in found:
        print(f"{path}: {name}; sums are apart by {100 * worst:.1f} % of what roundings can make of them")
    classes, expected = logits.cpu().argmax(-1), sample["logits"].argmax(-1)
    print(
        f"{int((classes == expected).sum())} of {classes.numel()} classes are Brevitas's;"
        f" {int((classes == sample['labels']).sum())} are right"
    )
    _time(model, json.loads((folder / "manifest.json").read_text(encoding="utf-8")), images)
    wrong = [path for path, _, worst in found if not worst <= 1]
    if wrong:
        print(f"layer {wrong[0]!r} is further from its reference than roundings can be", file=sys.stderr)
    return 1 if wrong else 0


def _time(model: nn.Module, built: dict[str, Any], images: Tensor) -> None:
    """Says what batches take: of one, of as many as the kernels were chosen for, and of the whole sample."""
    if images.device.type != "cuda":
        print("times are not measured: there is no GPU here, and the reference is not what would be timed")
        return
    for batch in sorted({1, built["batch"], len(images)}):
        taken = microseconds(model, tiled(images, batch))
        print(f"{taken:.1f} us for a batch of {batch} {_what(images)} on {torch.cuda.get_device_name()}")
    if built["tokens"] == "one":
        print("kernels were chosen for one token of each sequence; what is timed here are whole sequences")


def tiled(images: Tensor, batch: int) -> Tensor:
    """`batch` images: the first, and again from the first where there are too few."""
    return images[torch.arange(batch, device=images.device) % len(images)]


if __name__ == "__main__":
    sys.exit(main(import_module(MODEL).load, Path(__file__).parent, sys.argv[1:]))
