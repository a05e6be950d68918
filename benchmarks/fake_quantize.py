"""How long it takes to fake-quantise a tensor in one pass, beside Brevitas's modules and beside a copy of the tensor.

    python benchmarks/fake_quantize.py [--json]

On a CPU it is the loop in C++, in one thread, by processor time; on a GPU the kernel in Triton, by events of the GPU,
with what launching takes. That the numbers are Brevitas's is asserted when a quantiser is made. A copy reads and writes
the same bytes: it is what the memory allows. All three make a new tensor, in turns, and the fastest round of each
counts; tensors that fit into a cache may stay there. What is not there is named and left out.
"""

import argparse
import json
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from time import process_time

warnings.filterwarnings("ignore", category=DeprecationWarning)  # Brevitas imports its own deprecated modules
warnings.filterwarnings("ignore", category=FutureWarning, module="brevitas")
warnings.filterwarnings("ignore", message="fast_hadamard_transform")

import torch  # noqa: E402
from torch import Tensor  # noqa: E402

from hwdse.activations import Activations, SiteQuantiser, Visit  # noqa: E402
from hwdse.design import Quantizer  # noqa: E402
from hwdse.fused import available  # noqa: E402

FORMATS = ("int8", "int4", "e2m1", "e4m3")
COUNTS = {"cpu": (1 << 14, 1 << 18, 1 << 22), "cuda": (1 << 18, 1 << 22, 1 << 26)}  # numbers of a tensor
ROUNDS, FEWEST_CALLS, NUMBERS = 7, 3, 1 << 22  # a round has as many calls as it takes to quantise so many numbers


@dataclass(frozen=True)
class Row:
    """Seconds for a tensor."""

    device: str
    fmt: str
    count: int
    brevitas: float
    ours: float
    copy: float

    @property
    def ratios(self) -> dict[str, float]:
        """How many times as fast as Brevitas, and how many copies."""
        name = f"{self.device} {self.fmt} {self.count}"
        return {f"{name} Brevitas / hwdse": self.brevitas / self.ours, f"{name} hwdse / copy": self.ours / self.copy}

    def __str__(self) -> str:
        times = "".join(f"{1e6 * each:12,.1f}" for each in (self.brevitas, self.ours, self.copy))
        ratios = "".join(f"{ratio:8.2f}" for ratio in self.ratios.values())
        return f"{self.device:5}{self.fmt:6}{self.count:11,}{times}{ratios}"


def missing() -> dict[str, str]:
    """Devices that cannot be measured here, and why."""
    found = {}
    if not available("cpu"):
        found["cpu"] = "there is no g++"
    if not torch.cuda.is_available():
        found["cuda"] = "there is no GPU"
    elif not available("cuda"):
        found["cuda"] = "there is no Triton"
    return found


def made(fmt: str, x: Tensor) -> SiteQuantiser:
    """A quantiser that is calibrated with `x`."""

    def watch(sites: Iterable[str], visit: Visit) -> None:
        for site in sites:
            visit(site, x)

    quantizer = Quantizer.parse(fmt)
    activations = Activations(watch, lambda site, own: None, x.device)
    activations.calibrate([("x", quantizer)])
    return activations.quantiser("x", quantizer)


def seconds(task: Callable[[], Tensor], calls: int, device: str) -> float:
    """Of one call: of the processor, or of the GPU."""
    if device == "cpu":
        begin = process_time()
        for _ in range(calls):
            task()
        return (process_time() - begin) / calls
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(calls):
        task()
    end.record()
    torch.cuda.synchronize()
    return float(start.elapsed_time(end)) / 1000 / calls


def measure(device: str, fmt: str, count: int) -> Row:
    """One row of the table."""
    x = torch.randn(count, generator=torch.Generator().manual_seed(0)).to(device)
    own = made(fmt, x)
    tasks: tuple[Callable[[], Tensor], ...] = (partial(own.module, x), partial(own, x), x.clone)
    calls = max(FEWEST_CALLS, NUMBERS // count)
    with torch.inference_mode():
        rounds = [[seconds(task, calls, device) for task in tasks] for _ in range(ROUNDS + 1)]
    return Row(device, fmt, count, *map(min, zip(*rounds[1:], strict=True)))  # the first one warms up


def main() -> None:
    """Prints the table, or with --json one object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    absent, ratios = missing(), dict[str, float]()
    if not arguments.json:
        print("                             microseconds               Brevitas   hwdse")
        print("     format    numbers    Brevitas       hwdse        copy / hwdse  / copy")
    for device in (each for each in COUNTS if each not in absent):
        for fmt in FORMATS:
            for count in COUNTS[device]:
                row = measure(device, fmt, count)
                ratios |= {name: round(ratio, 2) for name, ratio in row.ratios.items()}
                if not arguments.json:
                    print(row, flush=True)
    if arguments.json:
        print(json.dumps({"benchmark": "fake_quantize", "ratios": ratios}))
        return
    if "cuda" not in absent:
        print(f"cuda is {torch.cuda.get_device_name()}, with torch {torch.__version__}")
    for device, reason in absent.items():
        print(f"not measured on {device}: {reason}")


if __name__ == "__main__":
    main()
