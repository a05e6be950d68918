"""Windows: their sizes, what they refuse, and the order of their elements."""

import re
from collections.abc import Callable

import numpy as np
import pytest

from hwdse.window import (
    Window,
    parallel_cycles,
    parallel_elements,
    parallel_ends,
    parallel_first,
    serial_elements,
    window_parallel,
)

SHAPES = [
    Window(5, 4, (3, 3), (1, 1), (1, 1), lanes=2, beats=2),
    Window(5, 4, (3, 2), (2, 1), (1, 0), lanes=1, beats=4, groups=2),
    Window(4, 6, (2, 2), (2, 2), lanes=3, beats=2, groups=2),
    Window(3, 3, (3, 3), lanes=1),
    Window(1, 7, (1, 3), (1, 2), (0, 2), lanes=2),
]


def images_of(window: Window) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Two images in which every code is another one, from 1."""
    shape = (2, window.height, window.width, window.beats * window.lanes)
    return np.arange(1, 1 + np.prod(shape)).reshape(shape)


@pytest.mark.parametrize("window", SHAPES, ids=str)
def test_elements_are_those_of_the_definition(window: Window) -> None:
    images = images_of(window)

    def pixel(image: int, y: int, x: int, beat: int) -> list[int]:
        inside = 0 <= y < window.height and 0 <= x < window.width
        lanes = slice(beat * window.lanes, (beat + 1) * window.lanes)
        return list(images[image, y, x, lanes]) if inside else [0] * window.lanes

    per_group = window.beats // window.groups
    places = [
        (image, y * window.stride[0] - window.padding[0], x * window.stride[1] - window.padding[1])
        for image in range(2)
        for y in range(window.rows)
        for x in range(window.columns)
    ]
    taps = [(ky, kx) for ky in range(window.kernel[0]) for kx in range(window.kernel[1])]
    serial = [
        pixel(image, y + ky, x + kx, group * per_group + beat)
        for image, y, x in places
        for group in range(window.groups)
        for ky, kx in taps
        for beat in range(per_group)
    ]
    parallel = [
        [code for ky, kx in taps for code in pixel(image, y + ky, x + kx, beat)]
        for image, y, x in places
        for beat in range(window.beats)
    ]
    assert serial_elements(window, images).tolist() == serial
    assert parallel_elements(window, images).tolist() == parallel


def test_an_image_that_joins_its_rows_gives_a_window_a_pixel() -> None:
    window = Window(8, 8, (3, 3), padding=(1, 1), lanes=4, beats=2)
    assert (window.rows, window.columns, window.input_beats, window.window_beats, window.first_tap) == (
        8,
        8,
        128,
        18,
        9,
    )
    assert parallel_cycles(window) == 128
    assert parallel_first(window) == 2 + 9 * 2  # the pixel in the second row and column
    assert parallel_ends(window, 2) == (128 + 9 * 2 + 1, 256 + 9 * 2 + 1)


def test_the_unit_has_the_sizes_as_parameters() -> None:
    unit = window_parallel(Window(5, 6, (3, 2), (2, 1), (1, 0), lanes=2, bits=3, beats=4), block=True)
    assert unit.name == (
        "window_parallel(LANES=2, BITS=3, CF=4, H=5, W=6, KH=3, KW=2, SH=2, SW=1, PH=1, PW=0, BLOCK=1)"
    )
    assert [(stream.name, stream.bits) for stream in (*unit.inputs, *unit.outputs)] == [("in", 6), ("out", 36)]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Window(0, 4, (1, 1)),
            "the sizes of a window are at least 1 and its padding 0, unlike Window(height=0, width=4, kernel=(1, 1), "
            "stride=(1, 1), padding=(0, 0), lanes=1, bits=4, beats=1, groups=1)",
        ),
        (
            lambda: Window(4, 4, (1, 1), padding=(0, -1)),
            "the sizes of a window are at least 1 and its padding 0, unlike Window(height=4, width=4, kernel=(1, 1), "
            "stride=(1, 1), padding=(0, -1), lanes=1, bits=4, beats=1, groups=1)",
        ),
        (lambda: Window(4, 4, (1, 1), beats=4, groups=3), "groups divide the 4 beats of a pixel, unlike 3"),
        (lambda: Window(4, 4, (3, 3), padding=(1, 3)), "padding is less than the 3 taps of the kernel, unlike 3"),
        (
            lambda: Window(4, 2, (5, 5), padding=(1, 1)),
            "a kernel of 5 taps is in the image, unlike in 2 pixels with padding 1",
        ),
        (
            lambda: window_parallel(Window(4, 4, (2, 2), padding=(1, 1))),
            "padding of a parallel window is less than half of its 2 taps and less than its 4 pixels, unlike 1",
        ),
        (
            lambda: parallel_cycles(Window(4, 1, (3, 3), padding=(1, 1))),
            "padding of a parallel window is less than half of its 3 taps and less than its 1 pixels, unlike 1",
        ),
    ],
)
def test_what_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make()
