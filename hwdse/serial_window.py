"""The serial sliding window: how deep its buffer is, how many cycles it takes, exactly, and its hardware.

Windows differ in few ways, so an image is a short list of windows, each with the number of times that it follows
itself, and its cycles take some tens of steps instead of one for every position.
"""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, reduce
from itertools import groupby, pairwise

from hwdse.netlist import Stream, Unit
from hwdse.window import Window


@dataclass(frozen=True, slots=True)
class _Pace:
    """What windows in a row do to the level, the beats in the buffer from the first that is still kept.

    The level becomes `level + gain`, at least `low` and at most `high`; missing pixels stall the windows for
    `reach - level` cycles, at least for `least`. Both forms are closed under doing one after the other.
    """

    gain: int
    low: int
    high: int
    least: int
    reach: int

    def after(self, level: int) -> int:
        return min(max(level + self.gain, self.low), self.high)

    def stall(self, level: int) -> int:
        return max(self.least, self.reach - level)

    def then(self, other: "_Pace") -> "_Pace":
        return _Pace(
            self.gain + other.gain,
            other.after(self.low),
            other.after(self.high),
            self.least + other.stall(self.high),
            self.reach + other.stall(self.low),
        )

    def times(self, count: int) -> "_Pace":
        """`count` times one after the other, in as many steps as `count` has bits."""
        if count == 1:
            return self
        half = self.times(count // 2)
        twice = half.then(half)
        return twice.then(self) if count % 2 else twice


@dataclass(frozen=True, slots=True)
class _Step:
    """A window: the pixels from the first that is kept to its last, the beats in the buffer with which it begins at
    full speed, and the pixels that it frees at its end."""

    span: int
    needs: int
    frees: int


@dataclass(frozen=True, slots=True)
class _Row:
    """Windows in a row: the row of taps that decides when one can begin, the lowest one in the image, the pixels kept
    that are before the row, the windows that free a stride of pixels, and what the last one frees."""

    first: bool
    tap: int
    lowest: int
    kept: int
    freeing: int
    end: int


def _rows(window: Window) -> Iterator[_Row]:
    """The rows of an image. As in window_serial.sv no pixel is freed that belongs to the next row or image, though
    with padding of more than half of the kernel those windows begin before it."""
    (kh, kw), (sh, sw), ph = window.kernel, window.stride, window.padding[0]
    height, width, rows, columns = window.height, window.width, window.rows, window.columns
    left = height - (rows - 1) * sh
    freeing = rows if left > 0 else height // sh
    strides = min(columns - 1, (min(left, sh) if left > 0 else sh) * width // sw)
    # a row of taps is read in fewer cycles than its pixels need to enter, so the lowest decides, or the highest
    lowest_decides = width * window.groups >= kw
    for row in range(rows):
        frees, last = row < freeing, row == rows - 1
        end = (left if last else sh) * width - strides * sw if frees else (height - freeing * sh) * width * last
        lowest = min(kh - 1, height - 1 - row * sh + ph)
        tap = lowest if lowest_decides else max(0, ph - row * sh)
        yield _Row(row == 0, tap, lowest, 0 if frees else (row - freeing) * sh * width, strides if frees else 0, end)


def _steps(window: Window, row: _Row) -> Iterator[_Step]:
    """The windows of a row."""
    kw, sw, pw, width = window.kernel[1], window.stride[1], window.padding[1], window.width
    for column in range(window.columns):
        kx = min(kw - 1, width - 1 - column * sw + pw)
        kept = row.kept + max(0, column - row.freeing) * sw
        taps = (row.tap * kw + kx) * (window.beats // window.groups)
        frees = row.end if column == window.columns - 1 else sw * (column < row.freeing)
        needs = (kept + row.tap * width + kx + 1) * window.beats - taps
        if row.first and column == 0:  # no image begins before its first pixel
            needs = max(needs, (window.first_tap + 1) * window.beats)
        yield _Step(kept + row.lowest * width + kx + 1, needs, frees)


Runs = tuple[tuple[tuple[tuple[_Step, int], ...], int], ...]


@cache
def _image(window: Window) -> Runs:
    """The windows of an image: rows, each with the number of rows alike, of windows, each with the number alike."""
    return tuple(
        (tuple((step, len(list(run))) for step, run in groupby(_steps(window, row))), len(list(rows)))
        for row, rows in groupby(_rows(window))
    )


@cache
def _pace(window: Window, depth: int) -> _Pace:
    """One image, with a buffer of `depth` pixels."""
    least = max(step.span for row, _ in _image(window) for step, _ in row)
    if depth < least:
        raise ValueError(f"the buffer of this window has at least {least} pixels, not {depth}: {window}")
    rows = (
        reduce(_Pace.then, (_window_pace(window, step, depth).times(count) for step, count in row)).times(count)
        for row, count in _image(window)
    )
    return reduce(_Pace.then, rows)


def _window_pace(window: Window, step: _Step, depth: int) -> _Pace:
    """One window: beats enter in every cycle in which the buffer is not full."""
    full, work, frees = depth * window.beats, window.window_beats, step.frees * window.beats
    return _Pace(work - frees, min(step.needs + work, full) - frees, full - frees, 0, step.needs)


@cache
def depth_pixels(window: Window, *, gapless: bool = False) -> int:
    """The smallest buffer with which no window but the first of an image waits for pixels that had no room.

    That one may wait where there is little padding, up to the time to fill the buffer again; `gapless` has room for
    the next image too, so that it does not. What makes no difference, because entering takes longer, is left out.
    """
    least, enough = _depths(window)
    if gapless:
        enough = least + window.height * window.width
    goal = serial_cycles(window, enough)
    return bisect_left(range(enough), -goal, lo=least, key=lambda depth: -serial_cycles(window, depth))


def _depths(window: Window) -> tuple[int, int]:
    """Pixels with which the window moves, and with which a full buffer always has what the next window needs."""
    few = [(row * min(rows, 2)) for row, rows in _image(window)]  # two alike show how each follows the other
    steps = [step for row in few for step, count in row for _ in range(min(count, 2))]
    least = max(step.span for step in steps)
    return least, max(least, *(one.frees - -two.needs // window.beats for one, two in pairwise(steps)), 0)


def serial_cycles(window: Window, depth: int | None = None) -> int:
    """Cycles from image to image at full speed, once they are constant.

    They are the larger of the beats that enter and those that leave, and what `depth` pixels of buffer add to them:
    nothing, or the time to fill the buffer again after an image. ValueError if the window cannot move with so few.
    """
    pace = _pace(window, depth_pixels(window) if depth is None else depth)
    level = pace.high if pace.gain > 0 else pace.after(window.first_tap * window.beats) if pace.gain == 0 else pace.low
    return window.rows * window.columns * window.window_beats + pace.stall(level)


def serial_ends(window: Window, images: int, depth: int | None = None) -> tuple[int, ...]:
    """The cycle after reset in which the last beat of each image leaves, if all moves at full speed."""
    pace = _pace(window, depth_pixels(window) if depth is None else depth)
    level, end, ends = window.first_tap * window.beats, 0, list[int]()
    for _ in range(images):
        end += window.rows * window.columns * window.window_beats + pace.stall(level)
        ends.append(end)
        level = pace.after(level)
    return tuple(ends)


def serial_first(window: Window) -> int:
    """The cycle after reset in which the first beat leaves: two after the last of the first pixel has entered."""
    return window.beats + 1


def window_serial(window: Window, *, depth: int | None = None, block: bool = False) -> Unit:
    """The unit that gives `lanes` channels of a tap a beat; `depth`: of its buffer, in pixels; `block`: RAM or LUTs."""
    pixels = depth_pixels(window) if depth is None else depth
    _pace(window, pixels)  # checks it
    bits = window.lanes * window.bits
    parameters = (*window.parameters, ("GROUPS", window.groups), ("D", pixels), ("BLOCK", int(block)))
    return Unit("window_serial", parameters, (Stream("in", bits),), (Stream("out", bits),))
