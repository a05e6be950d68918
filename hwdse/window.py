"""Sliding windows: their sizes, the order of what they give, and the parallel one, its cycles and its hardware.

A window reads an image pixel by pixel and gives, for every position, the pixels under the kernel: the parallel one all
taps in a beat, the serial one (`hwdse.serial_window`) one after the other. Padding is never stored, so it costs neither
memory nor input beats.
"""

from dataclasses import dataclass
from math import ceil, inf

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


def parallel_cycles(window: Window, passes: int = 1, parts: int = 1) -> int:
    """Cycles from image to image, where each window takes `passes` of `parts` cycles of its reader.

    The window is read in parts during the first pass. It cannot run ahead of its reader, but for one window that waits
    at its output and, where there are several parts, one whose parts are given out. So the beats of two rows, or of two
    images, between one window and the next may be more than what the reader does meanwhile.
    """
    _check_parallel(window)
    (sh, sw), beats, rows, columns = window.stride, window.beats, window.rows, window.columns
    last = (rows - 1) * sh * window.width + (columns - 1) * sw
    apart = (sw, sh * window.width - (columns - 1) * sw, window.height * window.width - last)  # pixels
    column, row, image = ((pixels - 1) * beats + 1 for pixels in apart)
    work = passes * parts
    if parts == 1:
        in_pixels, in_rows = rows * columns * (beats - 1) * work, rows * (columns - 1) * max(work, column)
        return in_pixels + in_rows + (rows - 1) * max(work, row) + max(work, image)
    step = _Pair.of(1, work, parts).times(beats - 1)
    line = step.then(_Pair.of(column, work, parts).then(step).times(columns - 1))
    whole = line.then(_Pair.of(row, work, parts).then(line).times(rows - 1))
    return whole.then(_Pair.of(image, work, parts)).cycles


@dataclass(frozen=True, slots=True)
class _Pair:
    """When a window is taken from the output, and when its first part is read, from the same of a window before.

    Both are the latest of both plus a number: a matrix of the max-plus algebra (Baccelli et al., Synchronization and
    Linearity, 1992), whose largest mean of a cycle is the time from image to image.
    """

    taken: tuple[float, float]
    read: tuple[float, float]

    @classmethod
    def of(cls, gap: int, work: int, parts: int) -> "_Pair":
        """From a window to the next, `gap` beats later: taken when it is there and the parts of the last are gone."""
        return cls((gap, parts - 1), (gap + 1, work))

    def then(self, other: "_Pair") -> "_Pair":
        """This, and then the other."""
        rows = (
            tuple(max(row[0] + self.taken[i], row[1] + self.read[i]) for i in (0, 1))
            for row in (other.taken, other.read)
        )
        return _Pair(*((row[0], row[1]) for row in rows))

    def times(self, count: int) -> "_Pair":
        """`count` times one after the other."""
        if count == 0:
            return _Pair((0, -inf), (-inf, 0))
        half = self.times(count // 2)
        return half.then(half).then(self) if count % 2 else half.then(half)

    @property
    def cycles(self) -> int:
        """The largest mean of a cycle, rounded up."""
        return ceil(max(self.taken[0], self.read[1], (self.taken[1] + self.read[0]) / 2))


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
