"""The host program: the codes that it sends, what it says of bad input, and a network on a simulated board."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hwdse.assembly import Assembly
from hwdse.board_top import files, queue_bytes, rate
from hwdse.boards import Board, board
from hwdse.build import run
from hwdse.data import Split
from hwdse.design import Design, Quantizer
from hwdse.equality import input_codes
from hwdse.flows.bitstream import Bitstream
from hwdse.folding import fold
from hwdse.formats import IntFormat, encode, known_formats
from hwdse.hls_templates.host import host as program
from hwdse.host import code_table, image_bytes
from hwdse.host import program as program_files
from hwdse.netlist import Netlist
from hwdse.quantize import Bench
from hwdse.serial_simulation import Files, build
from hwdse.simulate import simulate
from hwdse.target import fpga
from tests.hls_templates.leaves import cache_of
from tests.hwdse.accelerators import assembled
from tests.hwdse.networks import bench, split
from tests.hwdse.small_networks import SIZE, images, small
from tests.hwdse.test_lower import mixed

NARROW = [Quantizer(fmt) for fmt in (*known_formats(), *known_formats(signed=False))]
FULL = [replace(one, narrow=False) for one in NARROW if isinstance(one.format, IntFormat) and one.format.signed]


@pytest.fixture
def cache(request: pytest.FixtureRequest) -> Path:
    return cache_of(request)


# ---- codes ---------------------------------------------------------------------------------------


def described(**changes: object) -> dict[str, object]:
    """What `accelerator.json` says of two classes and images of four codes of 3 bits."""
    enters = {"shape": [2, 1, 2], "scale": 0.5, **code_table(Quantizer.parse("int3")), "bits": 3, "lanes": 2}
    leaves = {"bits": 5, "lanes": 1, "scales": [0.25, -0.5], "biases": [0.0, 1.0]}
    return {"baud": 1_000_000, "images_ahead": 2, "input": enters, "output": leaves} | changes


def accelerator(folder: Path, **changes: object) -> program.Accelerator:
    file = folder / "accelerator.json"
    file.write_text(json.dumps(described(**changes)))
    return program.Accelerator(file)


@pytest.mark.parametrize("quantizer", NARROW + FULL, ids=lambda one: f"{one.format.name}-{one.narrow}")
def test_a_number_becomes_the_code_that_quantising_gives(quantizer: Quantizer, tmp_path: Path) -> None:
    """All values, what is in their middles, the neighbours of both, and what is out of range."""
    table = code_table(quantizer)
    enters = {"shape": [1], "scale": 1.0, **table, "bits": quantizer.format.bits, "lanes": 1}
    one = accelerator(tmp_path, input=enters)
    values = np.array(table["values"])
    points = np.concatenate([values, (values[1:] + values[:-1]) / 2, [1e9, -1e9, 0.0, -0.0]])
    points = np.concatenate([points, np.nextafter(points, np.inf), np.nextafter(points, -np.inf)])
    assert [one.code(x) for x in points.tolist()] == encode(quantizer.format, points, narrow=quantizer.narrow).tolist()


def test_the_bytes_of_an_image_and_the_sums_of_a_result(tmp_path: Path) -> None:
    one = accelerator(tmp_path)
    # Channels 0 and 1 of pixel 0, then of pixel 1: 1, -1 and -1.5, 1 are 2, -2 and -3, 2 in steps of a half.
    assert one.encode([1.0, -1.5, -1.0, 1.0]) == bytes([0b110_010, 0b010_101])
    assert one.result_bytes == 2
    assert one.decode(bytes([0b01111, 0b10000])) == [15, -16]
    assert one.classify([0, 0]) == 1
    assert one.classify([4, 0]) == 0  # equal ones: the first


# ---- bad input -----------------------------------------------------------------------------------


def said(folder: Path, *arguments: str) -> tuple[int, str]:
    """The exit status of the program, and what it says on stderr."""
    if not (folder / "host.py").exists():
        (folder / "host.py").write_bytes(Path(program.__file__).read_bytes())
    if not (folder / "accelerator.json").exists():
        (folder / "accelerator.json").write_text(json.dumps(described()))
    done = subprocess.run(
        [sys.executable, "-S", "host.py", *arguments], cwd=folder, capture_output=True, text=True, timeout=60
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("contents", "arguments", "message"),
    [
        ({}, ("port", "none"), "cannot read none: [Errno 2] No such file or directory: 'none'"),
        ({"i": "\n"}, ("port", "i"), "a file of images has one a line, and i has none"),
        ({"i": "1,x,2,3"}, ("port", "i"), "i has numbers with commas or blanks between: could not convert string to"
         " float: 'x'"),
        ({"i": "1 2 3"}, ("port", "i"), "an image has 2 x 1 x 2 numbers, and not 3"),
        ({"i": "1 2 nan 3"}, ("port", "i"), "an image has numbers, and not nan"),
        ({"i": "1 2 3 4", "l": "a"}, ("port", "i", "--labels", "l"), "l has a class a line, a whole number: invalid"
         " literal for int() with base 10: 'a'"),
        ({"i": "1 2 3 4", "l": "1\n1"}, ("port", "i", "--labels", "l"), "there is a class for each of the 1 images,"
         " but l has 2"),
        ({"i": "1 2 3 4"}, ("port", "i"), "cannot open port: No such file or directory"),
        ({"i": "1 2 3 4"}, ("i", "i"), "i is no serial port that can be set to 1000000 baud: Inappropriate ioctl for"
         " device"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence(
    contents: dict[str, str], arguments: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
    assert said(tmp_path, *arguments) == (2, f"host.py: {message}\n")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ("{}", "KeyError: 'baud'"),
        (json.dumps(described(output={})), "KeyError: 'bits'"),
    ],
)
def test_a_description_that_is_none(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "i").write_text("1 2 3 4")
    (tmp_path / "accelerator.json").write_text(content)
    file = tmp_path / "accelerator.json"
    assert said(tmp_path, "port", "i") == (2, f"host.py: {file} does not describe an accelerator: {message}\n")


def test_a_rate_that_the_system_has_not(tmp_path: Path) -> None:
    (tmp_path / "i").write_text("1 2 3 4")
    (tmp_path / "accelerator.json").write_text(json.dumps(described(baud=12345)))
    assert said(tmp_path, "port", "i") == (2, "host.py: this system has no serial rate of 12345 baud\n")


# ---- a network on a simulated board --------------------------------------------------------------


@contextmanager
def running(
    made: Assembly, on: Board, queue: int, cache: Path, folder: Path, hardware: Files | None = None
) -> Iterator[str]:
    """A simulated board with an accelerator, as the name of its terminal; the host program is in `folder`.

    `hardware`: what is simulated in place of the RTL.
    """
    whole = files(made.accelerator.netlist, on, queue) if hardware is None else hardware
    for name, content in (*whole, *program_files(made.network, made.accelerator, on, queue)):
        (folder / name).write_bytes(content)
    argv = [str(build(whole, cache).absolute()), str(rate(on.clock_mhz).divider)]
    with subprocess.Popen(argv, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def answers(folder: Path, port: str, given: torch.Tensor, labels: torch.Tensor) -> tuple[list[list[int]], str]:
    """The lines of the program for images: number, class and sums; and its last line."""
    (folder / "images.csv").write_text("".join(",".join(map(repr, row)) + "\n" for row in given.flatten(1).tolist()))
    (folder / "labels.txt").write_text("".join(f"{label}\n" for label in labels.tolist()))
    argv = [sys.executable, "-S", str(folder / "host.py"), port, str(folder / "images.csv")]
    options = ["--labels", str(folder / "labels.txt"), "--sums"]
    done = subprocess.run([*argv, *options], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    *lines, last = done.stdout.splitlines()
    return [[int(word) for word in line.split()] for line in lines], last


def design(on: Bench, seed: int, pace: int) -> Design:
    """Formats of all kinds, folded for `pace` cycles an image."""
    return replace(mixed(on, seed), folding=tuple(sorted(fold(on.workload, pace).items())))


def check(made: Assembly, folder: Path, port: str, given: Split) -> None:
    """The program gives the sums of the network in whole numbers, their classes, and how many are right."""
    found, last = answers(folder, port, given.images, given.labels)
    network = made.network
    sums = simulate(network, input_codes(network, given.images)).sums
    assert [row[2:] for row in found] == sums.tolist()
    positions = network.nodes[-1].layer.positions
    meaning = network.logits
    scores = sums.astype(float) * np.tile(meaning.scales, positions) + np.tile(meaning.biases, positions)
    assert [row[:2] for row in found] == [[i, int(best)] for i, best in enumerate(scores.argmax(axis=1))]
    right = int((scores.argmax(axis=1) == given.labels.numpy()).sum())
    assert last == f"accuracy {right / len(found):.4f}: {right} of {len(found)}"


@pytest.mark.parametrize(("name", "mhz"), [("ulx3s_25f", 4.0), ("icebreaker", 12.0)])
def test_digits_on_a_simulated_board(name: str, mhz: float, cache: Path, tmp_path: Path) -> None:
    """A first host, one that is ended with an image half sent, and another one, which gets the same as the first."""
    on = bench("mlp")
    made = assembled(on, design(on, 0, 4_000), cache)
    one = replace(board(name), clock_mhz=mhz)
    queue = queue_bytes(image_bytes(made.network, made.accelerator), fpga(one.device))
    digits = Split("test", split("test").images[:40], split("test").labels[:40])
    with running(made, one, queue, cache, tmp_path) as port:
        check(made, tmp_path, port, digits)
        line = program.Line(port, rate(mhz).baud)
        os.write(line.file, b"half")
        os.close(line.file)
        check(made, tmp_path, port, digits)


def synthesised(netlist: Netlist, name: str, queue: int, cache: Path) -> Files:
    """What the flow's synthesis makes of a board of family ice40, its primitives replaced by yosys' models of them."""
    flow = Bitstream(board=name, queue=queue)
    plan = flow.plan(netlist, fpga(board(name).device))
    texts = dict(plan.files)
    synthesis, _ = texts["synth.ys"].decode().split("select board\n")
    after = ["delete =A:blackbox", "read_verilog -overwrite -defer +/ice40/cells_sim.v", "hierarchy -check -top board"]
    after += [
        "proc",
        "flatten",
        "opt -fast",
        "clean -purge",
        "select board",
        "write_verilog -noattr -selected mapped.v",
    ]
    texts["synth.ys"] = "\n".join([synthesis, *after, ""]).encode()
    changed = replace(plan, files=tuple(texts.items()), commands=plan.commands[:1], results=("mapped.v",))
    text = (run(changed, cache, flow.programs()) / "mapped.v").read_bytes()
    # What does not matter is 0: Verilator takes no address that is not known.
    return (("board.sv", re.sub(rb"'h[0-9a-fx]+", lambda found: found[0].replace(b"x", b"0"), text)),)


@pytest.mark.slow
def test_a_synthesised_board(cache: Path, tmp_path: Path) -> None:
    """With the reset that begins when the device has been configured, and the queue in block RAM."""
    on = small("falling")
    made = assembled(on, design(on, 2_000, 2_000), cache)
    queue = queue_bytes(image_bytes(made.network, made.accelerator), fpga("ice40_hx8k"))
    hardware = synthesised(made.accelerator.netlist, "hx8k_breakout", queue, cache)
    given = images(10)
    with running(made, board("hx8k_breakout"), queue, cache, tmp_path, hardware) as port:
        check(made, tmp_path, port, Split("some", given, torch.zeros(10, dtype=torch.int64)))


def test_images_of_several_channels(cache: Path, tmp_path: Path) -> None:
    """And beats of several bytes in both directions."""
    on = small("shortcut")
    made = assembled(on, design(on, 150, 150), cache)
    assert made.network.tensor(made.network.input).shape == (4, SIZE, SIZE)
    assert made.accelerator.lanes_in * made.accelerator.code_bits > 8
    assert made.accelerator.lanes_out * made.accelerator.sum_bits > 8
    queue = image_bytes(made.network, made.accelerator)
    one = replace(board("ulx3s_25f"), clock_mhz=4.0)
    given = images(20)
    with running(made, one, queue, cache, tmp_path) as port:
        check(made, tmp_path, port, Split("some", given, torch.zeros(20, dtype=torch.int64)))


def test_a_board_that_is_silent(cache: Path, tmp_path: Path) -> None:
    """What the board has been told to expect is more than an image, so that it waits for ever."""
    on = bench("mlp")
    made = assembled(on, design(on, 0, 4_000), cache)
    one = replace(board("ulx3s_25f"), clock_mhz=4.0)
    with running(made, one, 2049, cache, tmp_path) as port:
        text = (tmp_path / "host.py").read_text()
        (tmp_path / "host.py").write_text(text.replace("SILENCE_SECONDS = 10.0", "SILENCE_SECONDS = 0.5"))
        described = json.loads((tmp_path / "accelerator.json").read_text())
        described["input"]["shape"] = [1, 1, 8]
        (tmp_path / "accelerator.json").write_text(json.dumps(described))
        (tmp_path / "i").write_text("0 0 0 0 0 0 0 0\n")
        message = f"host.py: the board at {port} says nothing for 0.5 s, and has answered 0 of 1 images\n"
        assert said(tmp_path, port, "i") == (2, message)


def test_a_queue_that_is_too_small(cache: Path) -> None:
    on = bench("mlp")
    made = assembled(on, design(on, 0, 4_000), cache)
    needed = image_bytes(made.network, made.accelerator)
    message = f"the queue of a board holds an image, here of {needed} bytes, unlike one of {needed - 1}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        program_files(made.network, made.accelerator, board("ulx3s_25f"), needed - 1)
