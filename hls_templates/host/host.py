"""Sends images to an accelerator on a board, and prints what it says each one is.

    python3 host.py PORT IMAGES [--labels LABELS] [--sums]

PORT is the serial port of the board, or the terminal of its simulation. IMAGES is a text with an image a line: its
numbers in the order of channels, rows and columns, with commas or blanks between. LABELS has the class of each image, a
line each. What is printed is a line for each image: its number, its class, and with --sums what the accelerator gave.

`accelerator.json` beside this file says what the accelerator takes and gives:

    baud            of the serial line: eight bits, no parity, one stop bit
    images_ahead    how many images the board has room for: so many are sent before the first result has come
    input           shape    of an image
                    scale    a number is its value times this
                    values   of the codes, in ascending order, and `codes`, the codes
                    ties     of each two neighbours, whether a number in their middle becomes the larger one
                    bits     of a code, and `lanes`, the codes of a beat
    output          bits     of a sum, and `lanes`, the sums of a beat
                    scales   a class has the score `sum * scale + bias`, and `biases`

A beat is sent as whole bytes, the lowest first; its first code is in its lowest bits. Images go pixel by pixel, the
channels of a pixel one after the other. Needs Linux and Python 3.10 or newer, and nothing else.
"""

import argparse
import json
import math
import os
import select
import sys
import termios
import time
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SILENCE_SECONDS = 10.0  # without a byte from a board that has something to say
AFTER_BREAK_SECONDS = 0.05  # what a board said before it was reset has come by then


class HostError(Exception):
    """What is wrong, in one sentence."""


# ---- what the accelerator takes and gives --------------------------------------------------------


class Accelerator:
    """What `accelerator.json` says."""

    def __init__(self, file: Path) -> None:
        try:
            self._read(json.loads(file.read_text()))
        except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError) as error:
            raise HostError(f"{file} does not describe an accelerator: {type(error).__name__}: {error}") from None

    def _read(self, data: dict[str, Any]) -> None:
        self.baud, self.images_ahead = int(data["baud"]), int(data["images_ahead"])
        enters, leaves = data["input"], data["output"]
        self.shape, self.scale, self.codes, self.ties = (enters[key] for key in ("shape", "scale", "codes", "ties"))
        self.middles = [(a + b) / 2 for a, b in zip(enters["values"][:-1], enters["values"][1:], strict=True)]
        self.code_bits, self.lanes_in = int(enters["bits"]), int(enters["lanes"])
        self.order = stream_order(self.shape)
        self.sum_bits, self.lanes_out = int(leaves["bits"]), int(leaves["lanes"])
        self.scores = list(zip(leaves["scales"], leaves["biases"], strict=True))
        self.beat_bytes = (self.sum_bits * self.lanes_out + 7) // 8
        self.result_bytes = len(self.scores) // self.lanes_out * self.beat_bytes

    def encode(self, numbers: Sequence[float]) -> bytes:
        """The bytes of an image."""
        if len(numbers) != len(self.order):
            shape = " x ".join(map(str, self.shape))
            raise HostError(f"an image has {shape} numbers, and not {len(numbers)}")
        codes = [self.code(numbers[place]) for place in self.order]
        beats = (codes[start : start + self.lanes_in] for start in range(0, len(codes), self.lanes_in))
        return b"".join(self._beat(beat) for beat in beats)

    def _beat(self, codes: Sequence[int]) -> bytes:
        whole = sum(code << self.code_bits * lane for lane, code in enumerate(codes))
        return whole.to_bytes((self.code_bits * self.lanes_in + 7) // 8, "little")

    def code(self, number: float) -> int:
        """Of the value that is nearest to a number."""
        if math.isnan(number):
            raise HostError("an image has numbers, and not nan")
        value = number / self.scale
        place = bisect_left(self.middles, value)
        if place < len(self.middles) and self.middles[place] == value:
            place += bool(self.ties[place])
        return int(self.codes[place])

    def decode(self, result: bytes) -> list[int]:
        """The sums of an image, of the bytes of its result."""
        sums = []
        for start in range(0, len(result), self.beat_bytes):
            beat = int.from_bytes(result[start : start + self.beat_bytes], "little")
            for lane in range(self.lanes_out):
                code = beat >> self.sum_bits * lane & (1 << self.sum_bits) - 1
                sums.append(code - (code >> self.sum_bits - 1 << self.sum_bits))
        return sums

    def classify(self, sums: Sequence[int]) -> int:
        """The class with the largest score, the first of equal ones."""
        scores = [one * scale + bias for one, (scale, bias) in zip(sums, self.scores, strict=True)]
        return scores.index(max(scores))


def stream_order(shape: Sequence[int]) -> list[int]:
    """Which number of an image goes first, which second, ..: pixels in the order of rows, their channels innermost."""
    if len(shape) != 3:
        return list(range(math.prod(shape)))
    channels, pixels = shape[0], shape[1] * shape[2]
    return [channel * pixels + pixel for pixel in range(pixels) for channel in range(channels)]


# ---- files ---------------------------------------------------------------------------------------


def read_lines(name: str) -> list[str]:
    """Of a text; empty ones are none."""
    try:
        return [line for line in Path(name).read_text().splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise HostError(f"cannot read {name}: {error}") from None


def read_images(name: str) -> list[list[float]]:
    """The numbers of each line."""
    lines = read_lines(name)
    if not lines:
        raise HostError(f"a file of images has one a line, and {name} has none")
    try:
        return [[float(word) for word in line.replace(",", " ").split()] for line in lines]
    except ValueError as error:
        raise HostError(f"{name} has numbers with commas or blanks between: {error}") from None


def read_labels(name: str, images: int) -> list[int]:
    """The class of each image."""
    try:
        labels = [int(line) for line in read_lines(name)]
    except ValueError as error:
        raise HostError(f"{name} has a class a line, a whole number: {error}") from None
    if len(labels) != images:
        raise HostError(f"there is a class for each of the {images} images, but {name} has {len(labels)}")
    return labels


# ---- the serial line -----------------------------------------------------------------------------


class Line:
    """A serial port, on which everything behind it has been reset."""

    def __init__(self, port: str, baud: int) -> None:
        rate = getattr(termios, f"B{baud}", None)
        if rate is None:
            raise HostError(f"this system has no serial rate of {baud} baud")
        self.port = port
        try:
            self.file = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            termios.tcsetattr(self.file, termios.TCSANOW, raw(rate))
            termios.tcsendbreak(self.file, 0)
            time.sleep(AFTER_BREAK_SECONDS)
            termios.tcflush(self.file, termios.TCIFLUSH)
        except OSError as error:
            raise HostError(f"cannot open {port}: {error.strerror}") from None
        except termios.error as error:
            raise HostError(f"{port} is no serial port that can be set to {baud} baud: {error.args[-1]}") from None

    def exchange(self, images: Sequence[bytes], result_bytes: int, ahead: int) -> list[bytes]:
        """What the board answers to each image; never more than `ahead` are sent whose results have not come."""
        sent, received, stream = 0, b"", b"".join(images)
        while len(received) < len(images) * result_bytes:
            done = len(received) // result_bytes
            waiting = stream[sent : len(images[0]) * (done + ahead)]
            readable, writable, _ = select.select([self.file], [self.file] if waiting else [], [], SILENCE_SECONDS)
            if not readable and not writable:
                silence = f"says nothing for {SILENCE_SECONDS:g} s"
                raise HostError(f"the board at {self.port} {silence}, and has answered {done} of {len(images)} images")
            try:
                received += self._read() if readable else b""
                sent += os.write(self.file, waiting) if writable else 0
            except OSError as error:
                raise HostError(f"{self.port} does not work any more: {error.strerror}") from None
        if len(received) > len(images) * result_bytes:
            raise HostError(f"the board gives {result_bytes} bytes an image, and gave more")
        return [received[start : start + result_bytes] for start in range(0, len(received), result_bytes)]

    def _read(self) -> bytes:
        found = os.read(self.file, 4096)
        if not found:
            raise HostError(f"{self.port} was closed from the other end")
        return found


def raw(rate: int) -> list[Any]:
    """The settings of a port that passes all bytes as they are: eight bits, no parity, one stop bit."""
    characters: list[bytes | int] = [b"\0"] * 32
    characters[termios.VMIN] = 1
    return [0, 0, termios.CS8 | termios.CREAD | termios.CLOCAL, 0, rate, rate, characters]


# ---- the program ---------------------------------------------------------------------------------


def run(port: str, images: str, labels: str | None, with_sums: bool) -> None:
    """Prints a line for each image, and how many are right."""
    accelerator = Accelerator(Path(__file__).with_name("accelerator.json"))
    bytes_of = [accelerator.encode(numbers) for numbers in read_images(images)]
    wanted = None if labels is None else read_labels(labels, len(bytes_of))
    line = Line(port, accelerator.baud)
    sums = [
        accelerator.decode(result)
        for result in line.exchange(bytes_of, accelerator.result_bytes, accelerator.images_ahead)
    ]
    classes = [accelerator.classify(row) for row in sums]
    for number, row in enumerate(sums):
        print(number, classes[number], *(row if with_sums else ()))
    if wanted is not None:
        right = sum(found == label for found, label in zip(classes, wanted, strict=True))
        print(f"accuracy {right / len(classes):.4f}: {right} of {len(classes)}")


def main() -> int:
    """The exit status: 0, or 2 where something is wrong."""
    parser = argparse.ArgumentParser(description="Sends images to an accelerator on a board.")
    parser.add_argument("port", help="the serial port of the board, or the terminal of its simulation")
    parser.add_argument("images", help="a text with an image a line")
    parser.add_argument("--labels", help="a text with the class of each image, a line each")
    parser.add_argument("--sums", action="store_true", help="print the sums of each image too")
    given = parser.parse_args()
    try:
        run(given.port, given.images, given.labels, given.sums)
    except HostError as error:
        print(f"host.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
