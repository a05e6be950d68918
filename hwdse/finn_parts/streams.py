"""FINN's windows, padding and changes of width. Sources: swg/*.sv, fmpadding/hdl/fmpadding.sv, dwc/hdl/vpc.sv."""

from dataclasses import dataclass

from hwdse.finn_parts.part import Parameters, Part, Parts, bits_for, ram

Pair = tuple[int, int]  # rows and columns


@dataclass(frozen=True, slots=True)
class Window:
    """A sliding window over `image` pixels, each of which is `folds` words of `width` bits; it gives `out` of them.

    `parallel`: all pixels of a window come at once, which those of one pixel always do, else one after the other from
    a memory of `depth` words. Memories are RAM in LUTs unless `block`.
    """

    image: Pair
    out: Pair
    kernel: Pair
    folds: int
    width: int
    depth: int
    parallel: bool
    block: bool

    @property
    def parts(self) -> Parts:
        """What it is made of."""
        return {"control": Part(20, 10), **(self._at_once() if self.parallel else self._one_by_one())}

    @property
    def _element(self) -> int:
        """Bits of the number of a word of the image, and a sign."""
        return bits_for(self.image[0] * self.image[1] * self.folds) + 1

    def _one_by_one(self) -> dict[str, Part]:
        address, loops = bits_for(self.depth), _loops(*self.out, *self.kernel, self.folds)
        stored = 0.0 if self.block else ram(self.depth, self.width)
        return {
            "loops": Part(loops, loops),
            "elements": Part(3 * self._element, 3 * self._element),
            "addresses": Part(3 * address, 2 * address),
            "buffer": Part(stored, 0 if self.block else self.width),
        }

    def _at_once(self) -> dict[str, Part]:
        """Registers for a window, and a memory for what is between two of its rows."""
        (rows, columns), between = self.kernel, (self.image[1] - self.kernel[1]) * self.folds
        memories, loops = rows - 1 if between > 1 else 0, _loops(*self.out, self.folds)
        stored = 0.0 if self.block else ram(max(between, 1), self.width)
        return {
            "loops at once": Part(loops, loops),
            "elements at once": Part(2 * self._element, 2 * self._element),
            "row addresses": Part(memories * 2 * bits_for(between), memories * 2 * bits_for(between)),
            "rows": Part(memories * stored, memories * (0 if self.block else self.width)),
            "registers": Part(0, rows * columns * self.width),
        }


def _loops(*counts: int) -> int:
    """Bits of the counters of loops, each of which counts below zero."""
    return sum(bits_for(count) + 1 for count in counts)


def window(p: Parameters) -> Parts:
    """Of a window of K x K pixels over SIZE x SIZE ones of C channels, SIMD elements of BITS bits at once.

    PARALLEL, BLOCK, and steps of STRIDE; a step that waits for more pixels than a window has needs a deeper buffer.
    """
    size, kernel, folds = p["SIZE"], p["K"], p["C"] // p["SIMD"]
    waits = sum(max(0, wait - kernel**2) for wait in (p["STRIDE"] - 1, (p["STRIDE"] - 1) * size))
    depth = ((kernel - 1) * (size + 1) + 1 + waits) * folds
    pairs = [(one, one) for one in (size, (size - kernel) // p["STRIDE"] + 1, kernel)]
    style = (bool(p["PARALLEL"]) or kernel == 1, bool(p["BLOCK"]))
    return Window(pairs[0], pairs[1], pairs[2], folds, p["SIMD"] * p["BITS"], depth, *style).parts


def padding(p: Parameters) -> Parts:
    """Of PAD pixels on each side of SIZE x SIZE ones of C channels, SIMD elements of BITS bits at once."""
    size = p["SIZE"] + 2 * p["PAD"]
    return padded((size, size), p["C"] // p["SIMD"], p["SIMD"] * p["BITS"])


def padded(image: Pair, folds: int, width: int) -> Parts:
    """Of padding that gives an `image` of which each pixel is `folds` words of `width` bits, in whole bytes."""
    kept = 8 * -(-width // 8)
    counters = sum(bits_for(count + 1) for count in image)
    return {
        "control": Part(20, 10),
        "counters": Part(counters + bits_for(folds), counters + bits_for(folds)),
        "word": Part(kept, 2 * kept),
    }


def dwc(p: Parameters) -> Parts:
    """Of a change from IN to OUT bits, of which one divides the other.

    A buffer holds a word of each side. Where words become narrower they are turned to where the buffer is free.
    """
    wide, narrow = max(p["IN"], p["OUT"]), min(p["IN"], p["OUT"])
    down, ratio = p["IN"] > p["OUT"], wide // narrow
    return {
        "control": Part(20, 10),
        "counter": Part(bits_for(ratio) + 1, bits_for(ratio) + 1),
        "words": Part((wide + narrow) if down else 0, wide + narrow),
        "places": Part(0 if down else ratio, ratio),
        "turns": Part(wide * ratio / 2 if down and ratio > 2 else 0, 0),
    }
