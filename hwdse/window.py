"""Sliding windows: their sizes, the order of what they give, and the parallel one, its cycles and its hardware.

A window reads an image pixel by pixel and gives, for every position, the pixels under the kernel: the parallel one all
taps in a beat, the serial one (`hwdse.serial_window`) one after the other. Padding is never stored, so it costs neither
memory nor input beats.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwdse.netlist import Stream, Unit

Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Window:
    """A kernel that moves over an image of `height` x `width` pixels, of which each enters in `beats` beats.

    A beat has `lanes` channels of `bits` bits. Of `groups` groups of beats one is given after the other: 1 for a
    convolution, `beats` where every channel stands alone (depthwise, pools); the parallel window has no use for it.
    """

    height: int
    width: int
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)  # pixels on each side
    lanes: int = 1
    bits: int = 4
    beats: int = 1
    groups: int = 1

    def __post_init__(self) -> None:
        sizes = (self.height, self.width, *self.kernel, *self.stride, self.lanes, self.bits, self.beats, self.groups)
        if min(*sizes, *(pad + 1 for pad in self.padding)) < 1:
            raise ValueError(f"the sizes of a window are at least 1 and its padding 0, unlike {self}")
        if self.beats % self.groups:
            raise ValueError(f"groups divide the {self.beats} beats of a pixel, unlike {self.groups}")
        for size, taps, pad in zip((self.height, self.width), self.kernel, self.padding, strict=True):
            if pad >= taps:
                raise ValueError(f"padding is less than the {taps} taps of the kernel, unlike {pad}")
            if taps > size + 2 * pad:
                raise ValueError(f"a kernel of {taps} taps is in the image, unlike in {size} pixels with padding {pad}")

    @property
    def rows(self) -> int:
        """Positions in a column of the output."""
        return (self.height + 2 * self.padding[0] - self.kernel[0]) // self.stride[0] + 1

    @property
    def columns(self) -> int:
        """Positions in a row of the output."""
        return (self.width + 2 * self.padding[1] - self.kernel[1]) // self.stride[1] + 1

    @property
    def parameters(self) -> tuple[tuple[str, int], ...]:
        """Those of both modules."""
        names = ("LANES", "BITS", "CF", "H", "W", "KH", "KW", "SH", "SW", "PH", "PW")
        image = (self.lanes, self.bits, self.beats, self.height, self.width)
        return tuple(zip(names, (*image, *self.kernel, *self.stride, *self.padding), strict=True))

    @property
    def input_beats(self) -> int:
        """Beats of an image."""
        return self.height * self.width * self.beats

    @property
    def window_beats(self) -> int:
        """Beats of a window, tap by tap."""
        return self.kernel[0] * self.kernel[1] * self.beats

    @property
    def first_tap(self) -> int:
        """How many pixels the first tap is before the first pixel, if rows of pixels join to a line."""
        return self.padding[0] * self.width + self.padding[1]


# ---- what a window gives -------------------------------------------------------------------------


def _windows(window: Window, images: Codes) -> Codes:
    """`images` x rows x columns x beats x lanes x ky x kx codes of `images` x height x width x channels."""
    pads = [(pad, pad) for pad in window.padding]
    padded = np.pad(images, ((0, 0), *pads, (0, 0)))
    taps = np.lib.stride_tricks.sliding_window_view(padded, window.kernel, axis=(1, 2))
    strided = taps[:, :: window.stride[0], :: window.stride[1]]
    return strided.reshape(*strided.shape[:3], window.beats, window.lanes, *window.kernel)


def serial_elements(window: Window, images: Codes) -> Codes:
    """The `beats x lanes` elements that the serial window gives for `images` x height x width x channels codes."""
    grouped = _windows(window, images)
    parts = (window.groups, window.beats // window.groups, window.lanes)
    split = grouped.reshape(*grouped.shape[:3], *parts, *window.kernel)
    return split.transpose(0, 1, 2, 3, 6, 7, 4, 5).reshape(-1, window.lanes)


def parallel_elements(window: Window, images: Codes) -> Codes:
    """The beats of ky x kx x lanes elements of the parallel window, for `images` x height x width x channels codes."""
    taps = window.kernel[0] * window.kernel[1]
    return _windows(window, images).transpose(0, 1, 2, 3, 5, 6, 4).reshape(-1, taps * window.lanes)


# ---- the parallel window -------------------------------------------------------------------------


def _check_parallel(window: Window) -> None:
    image = (window.height, window.width)
    for pad, taps, size in zip(window.padding, window.kernel, image, strict=True):
        if pad and (2 * pad >= taps or pad >= size):
            raise ValueError(
                f"padding of a parallel window is less than half of its {taps} taps and less than its {size} pixels, "
                f"unlike {pad}"
            )


def parallel_cycles(window: Window) -> int:
    """Cycles from image to image at full speed: a beat enters in every one."""
    _check_parallel(window)
    return window.input_beats


def parallel_first(window: Window) -> int:
    """The cycle after reset in which the first window leaves, two after the last beat that it needs has entered."""
    _check_parallel(window)
    (kh, kw), width = window.kernel, window.width
    return ((kh - 1) * width + kw - 1 - window.first_tap) * window.beats + 2


def parallel_ends(window: Window, images: int) -> tuple[int, ...]:
    """The cycle after reset in which the last window of each image leaves, if all moves at full speed."""
    (sh, sw), width = window.stride, window.width
    pixels = (window.rows - 1) * sh * width + (window.columns - 1) * sw
    first = parallel_first(window) + (pixels + 1) * window.beats - 1
    return tuple(first + image * window.input_beats for image in range(images))


def window_parallel(window: Window, *, block: bool = False) -> Unit:
    """The unit that gives all taps of `lanes` channels a beat, with all rows but one in `block` RAM or in LUTs."""
    _check_parallel(window)
    bits = window.lanes * window.bits
    outputs = (Stream("out", window.kernel[0] * window.kernel[1] * bits),)
    return Unit("window_parallel", (*window.parameters, ("BLOCK", int(block))), (Stream("in", bits),), outputs)
