"""The command line: thin words over the Python API. Bad input is one sentence and exit code 2."""

import sys
import warnings
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated

import typer

from hwdse import __doc__ as summary
from hwdse import tables
from hwdse.formats import family, known_formats, magnitude, values
from hwdse.target import devices as known_devices
from hwdse.target import fpga, gpu, gpus

app = typer.Typer(help=summary, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

Json = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run.")]
DesignName = Annotated[
    str, typer.Argument(metavar="DESIGN", help="best, knee, baseline, a trial number or the start of a digest.")
]
StudyName = Annotated[str, typer.Argument(metavar="STUDY", help="A study file, or the name of a shipped study.")]
Storage = Annotated[str | None, typer.Option(help="Optuna URL of the history; SQLite in the run folder otherwise.")]
StorePlace = Annotated[
    str | None, typer.Option(help="Evaluation store, to share it between studies: a file or a postgresql:// URL.")
]


@app.command()
def run(
    study: StudyName,
    out: Annotated[Path, typer.Option(help="The run folder; made, or continued.")],
    storage: Storage = None,
    store: StorePlace = None,
    workers: Annotated[int, typer.Option(help="Processes that evaluate, or actors on Ray.")] = 1,
    executor: Annotated[str, typer.Option(help="processes, of this machine; or ray.")] = "processes",
    ray_address: Annotated[
        str | None, typer.Option(help="Of a Ray cluster; RAY_ADDRESS, or one of this machine otherwise.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Replaces a key, e.g. budget.trials=50.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run or continue a study: prints its Pareto table and writes report.html into the run folder."""
    from hwdse import commands
    from hwdse.workers import Workers

    who = Workers(workers, executor, ray_address)
    for table in commands.run(study, out, storage, store, who, tuple(settings or ())):
        table.print(as_json=as_json)


@app.command()
def report(path: RunPath) -> None:
    """Write the report of a finished run again."""
    from hwdse import commands

    print(commands.write_again(path))


@app.command()
def show(
    path: RunPath,
    design: Annotated[str | None, typer.Argument(metavar="[DESIGN]", help="One design instead of the front.")] = None,
    as_json: Json = False,
) -> None:
    """Show the front of a run, or what one design costs layer by layer."""
    from hwdse import commands

    table = commands.front(path) if design is None else commands.layers(path, design)
    table.print(as_json=as_json)


@app.command()
def cost(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="See `hwdse models`.")],
    device: Annotated[str, typer.Option(help="See `hwdse devices`.")],
    design: Annotated[Path | None, typer.Option(help="A design file (TOML), as `hwdse export` writes it.")] = None,
    weights: Annotated[str, typer.Option(help="Without a design: the quantizer of all weights.")] = "int8:channel",
    activations: Annotated[str, typer.Option(help="Without a design: the quantizer of all activations.")] = "int8",
    frames_per_second: Annotated[
        float | None, typer.Option("--fps", help="Of an FPGA: the rate that sets the folding; 1000 otherwise.")
    ] = None,
    clock_mhz: Annotated[float | None, typer.Option("--clock", help="Of an FPGA: assumed, MHz; 100 otherwise.")] = None,
    batch: Annotated[int | None, typer.Option(help="Of a GPU: frames that run together; 1 otherwise.")] = None,
    tokens: Annotated[
        str | None, typer.Option(help="Of a GPU, for text: all of a sequence, or one, as in decoding; all otherwise.")
    ] = None,
    cost_model: Annotated[
        str | None, typer.Option(help="A file of cost_models/; dataflow for FPGAs and gpu for GPUs otherwise.")
    ] = None,
    accumulator: Annotated[
        str | None, typer.Option(help="Of dataflow: tight (as without it), or paper for the root paper's wider ones.")
    ] = None,
    multiplier: Annotated[
        str | None, typer.Option(help="Of dataflow: auto (as without it), lut or dsp: what multiplies.")
    ] = None,
    layerwise: Annotated[bool, typer.Option(help="Price products only, inputs quantised layer by layer.")] = False,
    shape: Annotated[str | None, typer.Option(help="Of one input, for a network of yours: 3,32,32.")] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Term by term, each with its interval.")] = False,
    as_json: Json = False,
) -> None:
    """Price one network and one design on a device."""
    from hwdse import commands, hardware_commands
    from hwdse.pricing import Question, check_options, running

    settings = {key: value for key, value in (("accumulator", accumulator), ("multiplier", multiplier)) if value}
    check_options(device, {"--fps": frames_per_second, "--clock": clock_mhz}, {"--batch": batch, "--tokens": tokens})
    question = Question(
        model,
        device,
        1000.0 if frames_per_second is None else frames_per_second,
        100.0 if clock_mhz is None else clock_mhz,
        shape,
        cost_model,
        not layerwise,
        running(batch, tokens),
    )
    priced = hardware_commands.explain if explain else commands.cost
    priced(question, design, weights, activations, settings).print(as_json=as_json)


@app.command()
def fold(
    model: Annotated[str, typer.Argument(metavar="MODEL|RUN", help="See `hwdse models`; with DESIGN a run.")],
    trial: Annotated[str | None, typer.Argument(metavar="[DESIGN]", help="A design of the run, as for `show`.")] = None,
    device: Annotated[str | None, typer.Option(help="See `hwdse devices`; a run has its own.")] = None,
    design: Annotated[Path | None, typer.Option(help="A design file (TOML); its folding is not looked at.")] = None,
    weights: Annotated[str | None, typer.Option(help="Of all weights without a design; int8:channel.")] = None,
    activations: Annotated[str | None, typer.Option(help="Of all activations without a design; int8.")] = None,
    frames_per_second: Annotated[
        float | None, typer.Option("--fps", help="The rate; as fast as fits otherwise.")
    ] = None,
    clock_mhz: Annotated[float | None, typer.Option("--clock", help="Assumed, MHz; a run has its own, or 100.")] = None,
    front: Annotated[bool, typer.Option("--front", help="Every best design, from the slowest to the fastest.")] = False,
    objective: Annotated[
        str | None,
        typer.Option(help="utilization (as without it; finn: shares), or the one that is scarce: lut, ff, ..."),
    ] = None,
    limit: Annotated[
        list[str] | None, typer.Option(metavar="RESOURCE=SHARE", help="Of the device, e.g. lut=0.8; 1 otherwise.")
    ] = None,
    max_weight_bits: Annotated[
        int | None, typer.Option(help="PE x SIMD x bits of a weight, at most; finn: SIMD x bits, 36 otherwise.")
    ] = None,
    max_stream_bits: Annotated[int | None, typer.Option(help="Of a stream of activations, at most.")] = None,
    accumulator: Annotated[str | None, typer.Option(help="tight (as without it) or paper, as for `cost`.")] = None,
    multiplier: Annotated[str | None, typer.Option(help="auto (as without it), lut or dsp: what multiplies.")] = None,
    layerwise: Annotated[bool, typer.Option(help="Fold products only, inputs quantised layer by layer.")] = False,
    shape: Annotated[str | None, typer.Option(help="Of one input, for a network of yours: 3,32,32.")] = None,
    rules: Annotated[
        str, typer.Option(help="own; finn: FINN's nodes, rules and estimates; without a run FINN is not asked.")
    ] = "own",
    out: Annotated[
        Path | None,
        typer.Option(help="A file for the design (TOML), for `hwdse cost --design`; finn: FINN's folding file."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Fold every layer as is best for all together, proven: the fastest that fits, the smallest at a rate, or both."""
    from hwdse import fold_command as command
    from hwdse.foldings.choice import known

    settings = {key: value for key, value in (("accumulator", accumulator), ("multiplier", multiplier)) if value}
    own = (("--design", design), ("--weights", weights), ("--activations", activations), ("--shape", shape))
    more = (("--accumulator", accumulator), ("--multiplier", multiplier), ("--layerwise", layerwise or None))
    given = [option for option, value in own + more if value is not None]
    if command.by_finn(rules):
        from hwdse import finn_fold_command as of_finn
        from hwdse.finn_foldings.choice import known as known_of_finn

        streams = ["--max-stream-bits"] if max_stream_bits is not None else []
        of_finn.check([option for option, value in more if value is not None] + streams)
        limited = of_finn.limits(tuple(limit or ()), max_weight_bits)
        finn = of_finn.Wish(known_of_finn(objective or "shares"), frames_per_second, clock_mhz, limited)
        if trial is None:
            formats = command.read(design, weights, activations)
            network = command.of_network(model, device, shape, formats, {}, hardware=True)
            of_finn.fold_network(*network, finn, out, front=front).print(as_json=as_json)
        else:
            command.alone(given)
            of_finn.fold(Path(model), trial, device, finn, out, front=front).print(as_json=as_json)
        return
    if trial is None:
        formats = command.read(design, weights, activations)
        what, clock = command.of_network(model, device, shape, formats, settings, hardware=not layerwise)
    else:
        command.alone(given)
        what, clock = command.of_run(Path(model), trial, device)
    limits = command.limits(tuple(limit or ()), max_weight_bits, max_stream_bits)
    wish = command.Wish(
        known(objective or "utilization"), frames_per_second, clock if clock_mhz is None else clock_mhz, limits
    )
    command.fold(what, wish, out, front=front).print(as_json=as_json)


@app.command()
def synth(
    path: RunPath,
    design: DesignName,
    unit: Annotated[str | None, typer.Option(metavar="LAYER", help="One layer's units alone.")] = None,
    placed: Annotated[bool, typer.Option("--placed", help="Place and route each unit too.")] = False,
    cache: Annotated[Path | None, typer.Option(help="What was built, to use again; ~/.cache/hwdse otherwise.")] = None,
    workers: Annotated[int | None, typer.Option(help="Runs at a time; one for each core otherwise.")] = None,
    as_json: Json = False,
) -> None:
    """Synthesise the units of a design with open tools, and compare them with what was predicted."""
    from hwdse import hardware_commands
    from hwdse.calibration import command

    place = command.CACHE if cache is None else cache
    hardware_commands.synth(path, design, unit, place, workers, placed=placed).print(as_json=as_json)


@app.command()
def build(
    path: RunPath,
    design: DesignName,
    out: Annotated[Path, typer.Option(help="The folder; new, or an older build that is replaced.")],
    flow: Annotated[
        str,
        typer.Option(
            help="open: to a bitstream; vitis: a project for Vitis HLS; finn: a folder for FINN's builder;"
            " triton: packed weights and kernels for a GPU."
        ),
    ] = "open",
    device: Annotated[str | None, typer.Option(help="See `hwdse devices`; that of the run otherwise.")] = None,
    board: Annotated[
        str | None, typer.Option(help="The usual one for the device otherwise; finn: Pynq-Z1, ZCU104, ...")
    ] = None,
    images: Annotated[
        int | None,
        typer.Option(help="Of the test split, that are simulated or compared: 100; finn: that it verifies, 4."),
    ] = None,
    frames_per_second: Annotated[
        float | None, typer.Option("--fps", help="finn: the rate it folds for; that of the study otherwise.")
    ] = None,
    folding: Annotated[
        str | None,
        typer.Option(
            help="finn: by its heuristic (as without it); exact: no worse in anything; design: units as in the design."
        ),
    ] = None,
    batch: Annotated[
        int | None, typer.Option(help="triton: images that kernels are for; as in the study, or 1.")
    ] = None,
    cache: Annotated[Path | None, typer.Option(help="What was built, to use again; ~/.cache/hwdse otherwise.")] = None,
    as_json: Json = False,
) -> None:
    """Build a design: RTL that is proven by simulation and a bitstream with a host program, or a model for a GPU."""
    from hwdse import build_command as command
    from hwdse.calibration.command import CACHE

    wish = command.Wish(flow, device, board, images, frames_per_second, folding, batch)
    command.build(path, design, wish, out, CACHE if cache is None else cache).print(as_json=as_json)


@app.command()
def verify(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="What `hwdse build` has written.")],
    as_json: Json = False,
) -> None:
    """Read a build again: its netlist, or its packed weights, have the formats of its design, layer by layer."""
    from hwdse import build_command as command

    command.verify(folder).print(as_json=as_json)


@app.command()
def estimate(path: RunPath, design: DesignName, as_json: Json = False) -> None:
    """Ask FINN for its own estimate of a design of a run, show it beside the prediction, and keep it in the run."""
    from hwdse import estimate_command

    estimate_command.estimate(path, design).print(as_json=as_json)


@app.command(name="import")
def import_(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="What `hwdse build --flow finn` has written.")],
    run: Annotated[
        Path | None, typer.Option(metavar="RUN", help="The run; the one it was made from otherwise.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Read what Vivado and a board found of a build into its run, as a measured cost of its design."""
    from hwdse import import_command

    import_command.import_(folder, run).print(as_json=as_json)


@app.command()
def calibrate(
    devices: Annotated[
        list[str] | None, typer.Argument(metavar="DEVICE", help="The built-in campaign otherwise.")
    ] = None,
    runs: Annotated[int | None, typer.Option(help="Units for each device.")] = None,
    placed: Annotated[bool, typer.Option("--placed", help="Place and route a smaller sample.")] = False,
    chains: Annotated[bool, typer.Option("--chains", help="Place and simulate whole layers.")] = False,
    finn: Annotated[bool, typer.Option("--finn", help="FINN's own RTL, for the cost model finn-corrected.")] = False,
    fit_only: Annotated[bool, typer.Option("--fit-only", help="Fit to what is measured, without a run.")] = False,
    out: Annotated[Path | None, typer.Option(help="A folder in place of the cost model's own.")] = None,
    cache: Annotated[Path | None, typer.Option(help="What was built, to use again; ~/.cache/hwdse otherwise.")] = None,
    workers: Annotated[int | None, typer.Option(help="Runs at a time; one for each core otherwise.")] = None,
    as_json: Json = False,
) -> None:
    """Synthesise units with open tools and fit the cost model to them; goes on where it was stopped."""
    from hwdse.calibration import command

    names, folder = tuple(devices or ()), command.DATA if out is None else out
    if fit_only and (placed or chains or runs is not None):
        raise ValueError("--fit-only runs nothing, so that it goes without --runs, --placed and --chains")
    if chains and (placed or runs is not None):
        raise ValueError("--chains places its own layers, so that it goes without --runs and --placed")
    if finn and (names or placed or chains or runs is not None):
        raise ValueError(
            "--finn has a sample of its own, so that it goes without DEVICE, --runs, --placed and --chains"
        )
    place = command.CACHE if cache is None else cache
    if finn:
        from hwdse.finn_rtl import command as of_finn

        found = of_finn.fit_only(folder) if fit_only else of_finn.calibrate(folder, place, workers)
    elif fit_only:
        found = command.fit_only(names, folder)
    elif chains:
        found = command.chains(names, out=folder, cache=place, workers=workers)
    else:
        found = command.calibrate(names, runs, placed=placed, out=folder, cache=place, workers=workers)
    for table in found:
        table.print(as_json=as_json)


@app.command()
def export(
    path: RunPath,
    design: DesignName,
    out: Annotated[Path, typer.Option(help="A new folder, or a new file NAME.onnx for qonnx.")],
    to: Annotated[
        str, typer.Option(help="brevitas, as torch source; qonnx, for FINN (hwdse setup finn).")
    ] = "brevitas",
    top1: Annotated[bool, typer.Option("--top1", help="qonnx: the number of the class instead of logits.")] = False,
    images: Annotated[int, typer.Option(help="qonnx: at most so many of the test split are compared.")] = 1000,
    as_json: Json = False,
) -> None:
    """Write the quantised model of a design, to load without hwdse: as a Brevitas model, or in QONNX."""
    from hwdse import commands

    if to == "qonnx":
        from hwdse import qonnx_command

        qonnx_command.export(path, design, out, images, top1=top1).print(as_json=as_json)
        return
    if to != "brevitas":
        raise ValueError(f"no export to {to!r}; known: brevitas, qonnx")
    print(commands.export(path, design, out))


@app.command()
def train(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A digits network, or text-lm.")],
    out: Annotated[Path | None, typer.Option(help="The .safetensors file; NAME.safetensors otherwise.")] = None,
    seed: Annotated[int, typer.Option(help="Of weights and batches.")] = 0,
    text: Annotated[Path | None, typer.Option(help="text-lm: the text, UTF-8.")] = None,
    source: Annotated[str, typer.Option(help="text-lm: whose text it is, for the file of the weights.")] = "",
) -> None:
    """Train a built-in network: on the digits, in under a minute; on a text, in about ten minutes."""
    from hwdse import train_command

    print(train_command.train(name, out, seed, text, source))


@app.command()
def formats(
    bits: Annotated[int | None, typer.Option(help="Only this width.")] = None,
    unsigned: Annotated[bool, typer.Option(help="Without a sign bit.")] = False,
    as_json: Json = False,
) -> None:
    """List the number formats."""
    found = known_formats(bits=range(2, 9) if bits is None else range(bits, bits + 1), signed=not unsigned)
    if not found:
        raise ValueError(f"a format has 2 to 8 bits, not {bits}")
    columns = ("format", "bits", "family", "values", "largest", "smallest step", "largest / step")
    rows = [(f.name, f.bits, family(f), len(values(f)), max(values(f)), f.lsb, magnitude(f)) for f in found]
    note = (
        "Variants: e4m3fn (NaN at the top), e5m2ieee (Inf and NaN). e1mK is a uniform grid: it counts as an integer. "
        "binary, -1 and 1 in one bit, is for FINN alone; float16 and bfloat16 are for activations on a GPU."
    )
    tables.of("Formats", columns, rows, note).print(as_json=as_json)


@app.command()
def models(as_json: Json = False) -> None:
    """List the networks."""
    from hwdse.models import known_models

    note = "Also torchvision:NAME and huggingface:NAME where torchvision and transformers are installed, and any"
    note += " package.module:callable of yours."
    tables.of("Networks", ("model",), [(name,) for name in known_models()], note).print(as_json=as_json)


@app.command()
def devices(
    of_gpus: Annotated[bool, typer.Option("--gpus", help="The GPUs instead of the FPGAs.")] = False,
    as_json: Json = False,
) -> None:
    """List the devices and where their numbers come from."""
    some = [gpu(name) for name in gpus()] if of_gpus else [fpga(name) for name in known_devices()]
    columns = tuple(field.name for field in fields(some[0]))
    rows = [tuple(getattr(one, column) for column in columns) for one in some]
    note = "" if of_gpus else f"GPUs, with --gpus: {', '.join(gpus())}."
    tables.of("GPUs" if of_gpus else "Devices", columns, rows, note).print(as_json=as_json)


@app.command()
def kernels(
    device: Annotated[str, typer.Argument(metavar="GPU", help="See `hwdse devices --gpus`.")],
    shape: Annotated[str, typer.Argument(metavar="MxNxK", help="Vectors, outputs and inputs: 16x8192x8192.")],
    weights: Annotated[str, typer.Option(help="Their quantizer, such as int4:group128.")] = "int4:channel",
    activations: Annotated[str, typer.Option(help="Their quantizer, float16 or bfloat16.")] = "float16",
    bias: Annotated[bool, typer.Option("--bias", help="A bias is added.")] = False,
    most: Annotated[int, typer.Option(help="Kernels that are shown.")] = 10,
    as_json: Json = False,
) -> None:
    """List what may compute a product on a GPU, with predicted times, the kernel that is chosen first."""
    from hwdse import gpu_commands

    gpu_commands.kernels_of(device, shape, weights, activations, bias, most).print(as_json=as_json)


@app.command()
def techniques(as_json: Json = False) -> None:
    """List the post-training techniques and their settings."""
    from hwdse.plugins import load
    from hwdse.technique import Technique

    found = load("hwdse.techniques", Technique)  # type: ignore[type-abstract]  # its subclasses are not
    rows = [
        (
            name,
            kind.sees.value,
            ", ".join(f"{f.name}={f.default!r}" for f in fields(kind)),
            (kind.__doc__ or "").strip(),
        )
        for name, kind in found.items()
    ]
    tables.of("Techniques", ("technique", "sees", "settings", "what it does"), rows).print(as_json=as_json)


@app.command()
def setup(
    part: Annotated[str, typer.Argument(metavar="PART", help="finn: FINN+ in a Python environment of its own.")],
    at: Annotated[Path | None, typer.Option(help="Its folder; $HWDSE_FINN or one in ~/.cache/hwdse otherwise.")] = None,
) -> None:
    """Install a tool beside hwdse that cannot be in its environment; does nothing where it is ready."""
    from hwdse import setup_command

    print(setup_command.setup(part, at))


@app.command()
def doctor(as_json: Json = False) -> None:
    """Say what is installed here and what it is for."""
    from hwdse import doctor as checks

    checks.table().print(as_json=as_json)


STOPPED = 130  # what a shell calls an interrupted command


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    warnings.filterwarnings("ignore", message="brevitas.fx is deprecated")  # Brevitas's own import of it
    warnings.filterwarnings("ignore", message="fast_hadamard_transform package not found")  # a GPU's speed-up
    warnings.filterwarnings("ignore", category=FutureWarning, module="brevitas")  # its tracer's use of torch 2.13
    try:
        code = app(args=arguments, standalone_mode=False)
    except typer.TyperException as error:
        print(f"hwdse: {error.format_message()}", file=sys.stderr)
        return 2
    except ValueError as error:
        print(f"hwdse: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # a file or folder that cannot be written, where no part has a better sentence
        print(f"hwdse: {error.filename or 'a file'} cannot be used: {error.strerror or error}", file=sys.stderr)
        return 2
    except (KeyboardInterrupt, typer.Abort):
        code = STOPPED
    if code == STOPPED:
        print("hwdse: stopped; what was evaluated is kept, and the same command goes on from here", file=sys.stderr)
    return code if isinstance(code, int) else 0


if __name__ == "__main__":
    sys.exit(main())
