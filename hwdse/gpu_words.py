"""What a build for a GPU says: its README, what is printed of it, and each layer in its manifest."""

from pathlib import Path

from hwdse import tables
from hwdse.cost_model import Run
from hwdse.gpu_check import Checked
from hwdse.gpu_choice import Chosen

README = """# {title}

A model for {device}: weights as packed codes, and the kernels that multiply them. Made by hwdse {hwdse}; it needs
Python 3.11, torch {torch} or near, numpy, safetensors and, on a GPU, Triton (which comes with torch); not hwdse.

    python run.py                 # the stored sample again, layer by layer; on a GPU with the kernels, and timed
    python run.py --list          # every layer and what computes it
    python run.py --kernels '{first}=reference'

    import model                  # with this folder on the path
    net = model.load()            # cuda where there is a GPU; else the plain reference, which is slow
    logits = net({what})          # {given}

| layer | weights | activations | kernel for {run} | packed bytes | float32 bytes |
|---|---|---|---|---|---|
{rows}

Packed bytes are those that kernels read: words of whole tiles, scales and biases; those of float32 have no scales.

{text}.

Times are not measured here: `run.py` measures them where a GPU is.

| | |
|---|---|
| `model.py` | the network as source: each layer with its formats |
| `weights.safetensors` | words, scales, biases; float32 for what is not quantised |
| `kernels.json` | for each layer the kernel for products of at most so many vectors |
| `deployed/` | the modules of hwdse that they need, as they are there |
| `sample.safetensors` | {sample}, and Brevitas's logits |
| `design.toml`, `manifest.json` | the design; digests of all files, and all of the above for programs |

`hwdse verify .` reads codes and formats back from the packed weights and holds them against `design.toml`.
"""

OF_IMAGES = {
    "what": "images",
    "given": "float32, as those that the network was trained on",
    "sample": "test images, their classes",
}
OF_TEXT = {
    "what": "tokens",
    "given": "int64, sequences as long as those that the network was trained on",
    "sample": "test sequences of tokens, the tokens after each",
}


def readme(
    title: str, device: str, run: Run, layers: tuple[Chosen, ...], checked: Checked, made: dict[str, str]
) -> bytes:
    """The page of the folder; `checked`: what was compared; `made`: versions."""
    first = next((one.place.path for one in layers if one.kernels), "")  # "": all, of which none has a kernel
    words = {"first": first, **(OF_IMAGES if checked.what == "images" else OF_TEXT)}
    rows = "\n".join(f"| {' | '.join(map(str, row))} |" for row in map(_row, layers))
    return README.format(
        title=title, device=device, run=_run(run), rows=rows, text=checked.text, **made, **words
    ).encode()


def _run(run: Run) -> str:
    return f"a batch of {run.batch}" if run.tokens == "all" else f"a token of each of {run.batch} sequences"


def summary(title: str, out: Path, layers: tuple[Chosen, ...], checked: Checked, device: str) -> tables.Table:
    """Of a build that was delivered as `out`."""
    columns = ("layer", "weights", "activations", "kernel", "packed bytes", "float32 bytes", "codes", "moved")
    known = {one.name: one for one in checked.layers}
    rows: list[tuple[tables.Cell, ...]] = [
        (*_row(one), known[one.place.path].codes, known[one.place.path].moved) for one in layers
    ]
    sizes = [one.nbytes for one in layers]
    totals = sum(size for size, _ in sizes), sum(size for _, size in sizes)
    rows.append(("total", "", "", "", *totals, checked.codes, checked.moved))
    note = f"{checked.text}.\nTimes on {device} are not measured: python {out}/run.py does, on a GPU."
    return tables.of(f"{title} for {device}: {out}", columns, rows, note)


def facts(one: Chosen) -> dict[str, object]:
    """A layer in the manifest."""
    packed, plain = one.nbytes
    return {
        "layer": one.place.layer,
        "product": {"m": one.gemm.m, "n": one.gemm.n, "k": one.gemm.k},
        "kernel": one.kernel,
        "layout": one.place.packing.name,
        "bytes": packed,
        "float32_bytes": plain,
    }


def _row(one: Chosen) -> tuple[str, str, str, str, int, int]:
    return (one.place.layer, one.weights.name, one.activations.name, one.kernel, *one.nbytes)
