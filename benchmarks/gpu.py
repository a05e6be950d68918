"""The GPU kernels beside cuBLAS and other people's, on the layers of Llama 3, with a cold L2.

    python benchmarks/gpu.py [--minutes 8] [--only WORD] [--again] [--list] [--json] [--page]

Needs a GPU with Triton; without one it says so. The most important points come first, and a row is kept as soon as it
is made, in `cost_models/data/gpu.<device>.csv`: a run that was ended goes on with the next one, and a run of any length
says the most that it can. `--list` shows the points and times none. `--page` writes docs/gpu-speed.md from the tables
that are there, with a GPU or without. Ratios are between times of one run, so that a run that goes on times cuBLAS
again. What is timed, and how: `hwdse/gpu_speed/`.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from jinja2 import Environment, StrictUndefined

from hwdse.fused import available
from hwdse.gpu_measurements import Origin, Point, Timing, read
from hwdse.gpu_speed import driver, page
from hwdse.gpu_speed.campaign import compiled, measured, missing
from hwdse.gpu_speed.measuring import measure
from hwdse.gpu_speed.plan import compile_keys, plan
from hwdse.gpu_speed.ranking import ranked
from hwdse.gpu_speed.stopwatch import COLD, REPLAYS
from hwdse.gpu_speed.verdict import Speeds, bars
from hwdse.target import gpu, gpus

ROOT = Path(__file__).parents[1]
DATA = ROOT / "cost_models" / "data"
PAGE, TEMPLATE = ROOT / "docs" / "gpu-speed.md", ROOT / "docs" / "gpu-speed.md.j2"
MINUTES = 8.0
COMPILING = 0.25  # of the time, at most, before the first point
BINDING = "h200"  # the GPU whose bars bind


def absent() -> str | None:
    """Why nothing can be measured here; None: it can."""
    if not torch.cuda.is_available():
        return "there is no GPU"
    if not available("cuda"):
        return "there is no Triton"
    name = driver.known(torch.cuda.get_device_name(), gpus())
    known = ", ".join(gpus())
    return None if name in gpus() else f"{name} is none of the GPUs in cost_models/gpus, which are {known}"


def speeds(file: Path) -> Speeds:
    """What the table of one GPU says."""
    timings = read(file)
    return Speeds(timings, ranked(gpu(timings[-1].origin.device)) if timings else ranked(gpu(BINDING)))


def written(data: Path = DATA) -> str:
    """The page, from the tables in `data`."""
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    devices = [page.device(found) for file in sorted(data.glob("gpu.*.csv")) if (found := speeds(file)).rows]
    template = environment.from_string(TEMPLATE.read_text())
    nothing = bars(Speeds((), ranked(gpu(BINDING))))
    return template.render(devices=devices, bars=nothing, replays=REPLAYS, cold=COLD)


def shown(timing: Timing) -> str:
    """A line of the terminal."""
    time_us = "-" if timing.seconds is None else f"{1e6 * timing.seconds:12.2f} us"
    rate = f"{timing.bytes / timing.seconds / 1e9:8,.0f} GB/s" if timing.bytes and timing.seconds else 13 * " "
    return f"{time_us:>15} {rate} {timing.point.name}" + (f": {timing.note}" if timing.note else "")


def todo(arguments: argparse.Namespace, there: Sequence[Timing], origin: Origin) -> list[Point]:
    """The points of this run, in order."""
    points = plan(ranked(gpu(origin.device)))
    left = points if arguments.again else missing(points, there, origin)
    return [point for point in left if arguments.only in point.name]


def run(arguments: argparse.Namespace) -> Speeds:
    """Times what is missing, for as long as it may."""
    until, origin = time.monotonic() + 60 * arguments.minutes, driver.origin()
    file = DATA / f"gpu.{origin.device}.csv"
    points = todo(arguments, read(file) if file.exists() else (), origin)
    say = partial(print, file=sys.stderr if arguments.json else sys.stdout, flush=True)
    say(f"{origin.device}, driver {origin.driver}, {origin.versions}: {len(points)} points to time")
    if arguments.list:
        say(*(point.name for point in points), sep="\n")
        return speeds(file) if file.exists() else Speeds((), ranked(gpu(origin.device)))
    workers = max(1, (os.cpu_count() or 1) - 2)
    count = compiled(compile_keys(points), measure, workers, COMPILING * 60 * arguments.minutes)
    say(f"compiled for {count} of them in {workers} processes")
    for timing in measured(points, measure, origin, file, until - time.monotonic()):
        say(shown(timing))
    return speeds(file)


def main() -> None:
    """Times kernels, shows the points, or writes the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=MINUTES, help="that the run takes at most (default: 8)")
    parser.add_argument("--only", default="", metavar="WORD", help="points with this in their name alone")
    parser.add_argument("--again", action="store_true", help="time what has a row too")
    parser.add_argument("--list", action="store_true", help="show the points, and time none")
    parser.add_argument("--json", action="store_true", help="end with one JSON object, of the bars")
    parser.add_argument("--page", action="store_true", help="write docs/gpu-speed.md from the tables that are there")
    arguments = parser.parse_args()
    if arguments.page:
        PAGE.write_text(written())
        return
    reason = absent()
    if reason is not None:
        empty = json.dumps({"benchmark": "gpu", "ratios": {}})
        print(empty if arguments.json else f"nothing is measured here: {reason}")
        return
    found = bars(run(arguments))
    if arguments.json:
        ratios = {bar.name: round(bar.found, 3) for bar in found if bar.found is not None}
        print(json.dumps({"benchmark": "gpu", "ratios": ratios}))
        return
    for bar in found:
        worst = "" if bar.found is None else f", worst {bar.found:.2f}"
        print(f"{bar.name}: at least {bar.least:.2f}{worst}: {bar.words}")


if __name__ == "__main__":
    main()
