"""The serial window's cycles, against a simulation of its rules, and that its buffer is as small as it can be."""

import re
from itertools import product
from random import Random

import pytest

from hwdse.serial_window import depth_pixels, serial_cycles, serial_ends, serial_first, window_serial
from hwdse.window import Window

SAME = Window(8, 8, (3, 3), padding=(1, 1), lanes=4, beats=4)
STRIDED = Window(8, 8, (3, 3), (2, 2), (1, 1), lanes=4, beats=4)
VALID = Window(8, 8, (3, 3), lanes=4, beats=4)
POOL = Window(8, 8, (2, 2), (2, 2), lanes=4, beats=4, groups=4)
SKIPPING = Window(8, 8, (1, 1), (2, 2), lanes=4, beats=4)
GLOBAL = Window(4, 4, (4, 4), lanes=4, beats=2, groups=2)


def random_window(random: Random) -> Window:
    """A small one, with padding of at most half of the kernel."""
    kernel = (random.randint(1, 4), random.randint(1, 4))
    padding = (random.randint(0, (kernel[0] - 1) // 2), random.randint(0, (kernel[1] - 1) // 2))
    image = [random.randint(max(1, taps - 2 * pad), 7) for taps, pad in zip(kernel, padding, strict=True)]
    stride = (random.randint(1, 3), random.randint(1, 3))
    beats, groups = random.choice([(1, 1), (2, 1), (2, 2), (3, 3), (4, 2)])
    return Window(image[0], image[1], kernel, stride, padding, beats=beats, groups=groups)


def step_by_step(window: Window, depth: int, images: int) -> list[int]:
    """When the last beat of each image leaves, cycle by cycle."""
    (kh, kw), (sh, sw), (ph, pw) = window.kernel, window.stride, window.padding
    places = list(product(range(images), range(window.rows), range(window.columns)))
    first = [(image * window.height + row * sh - ph) * window.width + column * sw - pw for image, row, column in places]
    reads = []  # (the pixel, of padding the first of its image; the first pixel kept)
    for kept, (image, row, column) in zip(first, places, strict=True):
        for _, ky, kx, _ in product(range(window.groups), range(kh), range(kw), range(window.beats // window.groups)):
            inside = 0 <= row * sh - ph + ky < window.height and 0 <= column * sw - pw + kx < window.width
            reads.append((kept + ky * window.width + kx if inside else image * window.height * window.width, kept))
    cycle, written, read, ends = 0, 0, 0, []
    per_image = len(reads) // images
    while read < len(reads):
        pixel, kept = reads[read]
        takes = written // window.beats < kept + depth
        moves = pixel < written // window.beats
        written, read, cycle = written + takes, read + moves, cycle + 1
        if moves and read % per_image == 0:
            ends.append(cycle)
    return ends


def test_cycles_are_those_of_the_rules() -> None:
    random = Random(0)
    for _ in range(150):
        window = random_window(random)
        for depth in (depth_pixels(window), depth_pixels(window) + random.randint(1, 9)):
            assert list(serial_ends(window, 3, depth)) == step_by_step(window, depth, 3), (window, depth)


@pytest.mark.parametrize(
    ("window", "depth", "cycles"),
    [
        (SAME, 2 * 8 + 3, 64 * 36),
        (STRIDED, 21, 16 * 36),  # and not 2 * 8 + 3: a row of windows begins two rows of pixels after the last
        (
            VALID,
            2 * 8 + 3,
            36 * 36 + 4 * (2 * 8 + 3) - 8 * 4,
        ),  # the buffer is filled again, in part before the last tap
        (POOL, 20, 64 * 4),
        (SKIPPING, 2, 64 * 4),  # reading is faster than writing, so two pixels are enough
        (GLOBAL, 16, 16 * 2 + 2 * 16 - (16 - 1)),  # filled again, in part while the first group is read
    ],
    ids=str,
)
def test_depth_and_cycles(window: Window, depth: int, cycles: int) -> None:
    assert (depth_pixels(window), serial_cycles(window)) == (depth, cycles)


@pytest.mark.parametrize(
    ("window", "depth"), [(SAME, 19), (STRIDED, 21), (VALID, 30), (POOL, 20), (SKIPPING, 2), (GLOBAL, 25)], ids=str
)
def test_a_deeper_buffer_leaves_no_gap_between_images(window: Window, depth: int) -> None:
    assert depth_pixels(window, gapless=True) == depth
    assert serial_cycles(window, depth) == max(window.input_beats, window.rows * window.columns * window.window_beats)


@pytest.mark.parametrize("window", [STRIDED, POOL, SKIPPING], ids=str)
def test_a_pixel_less_costs_cycles(window: Window) -> None:
    assert serial_cycles(window, depth_pixels(window) - 1) > serial_cycles(window)


@pytest.mark.parametrize("window", [SAME, VALID], ids=str)
def test_a_window_has_all_its_pixels(window: Window) -> None:
    message = f"the buffer of this window has at least 19 pixels, not 18: {window}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        window_serial(window, depth=18)


def test_a_larger_buffer_is_never_slower_and_the_rest_is_between_images() -> None:
    random = Random(1)
    for _ in range(150):
        window = random_window(random)
        depth = depth_pixels(window)
        cycles = [serial_cycles(window, deeper) for deeper in (depth, depth + 1, depth + 9, 9999)]
        assert cycles == sorted(cycles, reverse=True)
        assert cycles[-1] == max(window.input_beats, window.rows * window.columns * window.window_beats)
        # the pixels of a buffer, and what a row of windows does not need of its last rows and columns
        skipped = (window.stride[0] - 1) * window.width + window.stride[1] - 1
        assert cycles[0] - cycles[-1] <= (depth + skipped) * window.beats


def test_the_cycles_between_images_become_constant() -> None:
    random = Random(2)
    for _ in range(50):
        window = random_window(random)
        ends = serial_ends(window, 400)
        assert ends[-1] - ends[-2] == serial_cycles(window)


def test_the_first_beat_waits_for_a_pixel() -> None:
    assert (serial_first(SAME), serial_first(VALID)) == (5, 5)


def test_the_unit_has_the_sizes_as_parameters() -> None:
    assert window_serial(STRIDED, block=True).name == (
        "window_serial(LANES=4, BITS=4, CF=4, H=8, W=8, KH=3, KW=3, SH=2, SW=2, PH=1, PW=1, GROUPS=1, D=21, BLOCK=1)"
    )
    unit = window_serial(STRIDED, depth=30)
    assert dict(unit.parameters)["D"] == 30
    assert [(stream.name, stream.bits) for stream in (*unit.inputs, *unit.outputs)] == [("in", 16), ("out", 16)]
