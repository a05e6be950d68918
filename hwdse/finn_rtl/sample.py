"""What is synthesised of FINN's RTL: random units of each kind, the same ones for the same seed."""

from collections.abc import Callable, Iterator
from itertools import zip_longest
from random import Random

from hwdse.finn_nodes import Dsp
from hwdse.finn_parts.matrix_vector import VERSIONS
from hwdse.finn_rtl.plans import Unit
from hwdse.target import fpga

SEED = 0
DEVICE = "xczu7ev"  # LUTs and DSP48E2 of UltraScale+
COUNTS = {  # of each draw, which is called after a kind of unit, and on which device
    **{("finn_mvu", device): count for device, count in (("xczu7ev", 48), ("xc7z020", 8), ("vck190", 8))},
    ("finn_vvu", "vck190"): 6,
    ("finn_thresholds", DEVICE): 22,
    ("finn_window", DEVICE): 18,
    ("finn_window 1x1", DEVICE): 10,
    ("finn_memstream", DEVICE): 9,
    ("finn_padding", DEVICE): 8,
    ("finn_fifo", DEVICE): 12,
    ("finn_dwc", DEVICE): 8,
}
LARGEST = 128  # products at once: what yosys maps within seconds

Draw = Callable[[Random, str], dict[str, int]]


def units() -> tuple[Unit, ...]:
    """Everything that is synthesised, all different; one of each draw first, then of each again."""
    drawn = [list(_drawn(draw, device, count)) for (draw, device), count in COUNTS.items()]
    return tuple(unit for row in zip_longest(*drawn) for unit in row if unit is not None)


def _drawn(draw: str, device: str, count: int) -> Iterator[Unit]:
    """`count` different units; each draw on each device has a seed of its own, so that counts may change."""
    random, found = Random(f"{SEED} {draw} {device}"), set[Unit]()
    kind = draw.partition(" ")[0]
    while len(found) < count:
        unit = Unit(device, kind, tuple(_DRAWS[draw](random, device).items()))
        if unit not in found:
            found.add(unit)
            yield unit


def _mvu(random: Random, device: str) -> dict[str, int]:
    weight, activation, signed = random.randint(2, 8), random.randint(2, 8), random.randint(0, 1)
    pe, simd = _folding(random)
    steps, rows = random.choice((1, 2, 3, 4, 8, 9, 16, 32, 36, 64, 100)), random.choice((1, 2, 4, 5, 8, 16, 32))
    most = (simd * steps - 1).bit_length()  # bits that a sum has above a product
    widths = {"W": weight, "A": activation, "ACC": weight + activation - signed + random.randint(most // 2, most)}
    sizes = {"PE": pe, "SIMD": simd, "MW": simd * steps, "MH": pe * rows}
    return {"VERSION": _version(device), **widths, **sizes, "NARROW": random.randint(0, 1), "SIGNED": signed}


def _vvu(random: Random, device: str) -> dict[str, int]:
    """FINN has it from 4 bits up; MW are the taps of a kernel, MH the channels."""
    weight, activation, signed = random.randint(4, 8), random.randint(4, 8), random.randint(0, 1)
    pe, taps = random.choice((1, 2, 3, 4, 8, 16)), random.choice((4, 9, 25))
    simd = random.choice((1, taps))
    widths = {"W": weight, "A": activation, "ACC": weight + activation - signed + (taps - 1).bit_length()}
    sizes = {"PE": pe, "SIMD": simd, "MW": taps, "MH": pe * (1 if simd > 1 else random.choice((1, 2, 4, 8)))}
    return {"VERSION": _version(device), **widths, **sizes, "NARROW": random.randint(0, 1), "SIGNED": signed}


def _version(device: str) -> int:
    """FINN's number of the DSP of a device."""
    return VERSIONS[Dsp(fpga(device).dsp.upper())]


def _folding(random: Random) -> tuple[int, int]:
    """PE and SIMD."""
    while True:
        pe = random.choice((1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 32))
        simd = random.choice((1, 2, 3, 4, 6, 8, 9, 12, 16, 18, 24))
        if pe * simd <= LARGEST:
            return pe, simd


def _thresholds(random: Random, device: str) -> dict[str, int]:
    while True:
        bits, pe, fold = random.randint(1, 8), random.choice((1, 2, 3, 4, 8)), random.choice((1, 2, 4, 8, 10, 16, 32))
        if pe * fold << bits <= 2048:  # thresholds
            sizes = {"BITS": bits, "C": pe * fold, "PE": pe, "SIGNED": random.randint(0, 1)}
            return {"IN": random.randint(bits + 2, 24), **sizes}


def _window(random: Random, device: str) -> dict[str, int]:
    kernel, parallel, depthwise = random.choice((2, 3, 3, 5)), random.randint(0, 2) == 2, random.randint(0, 3) == 3
    simd = random.choice((1, 2, 4, 8))
    channels = simd if parallel else simd * random.choice((1, 2, 4, 8))
    sizes = {"SIZE": random.choice((6, 8, 12, 16, 28)), "K": kernel, "STRIDE": random.choice((1, 1, 2))}
    styles = {
        "DEPTHWISE": int(depthwise),
        "PARALLEL": int(parallel),
        "BLOCK": int(not parallel and random.random() < 0.5),
    }
    return {"C": channels, "SIMD": simd, "BITS": random.randint(2, 8), **sizes, **styles}


def _pixels(random: Random, device: str) -> dict[str, int]:
    """Windows of one pixel, of shortcuts and of strided convolutions of 1 x 1: FINN's style `parallel` has them all."""
    simd, size, stride = (
        random.choice((1, 2, 4, 8, 16)),
        random.choice((7, 8, 14, 16, 28, 32, 56)),
        random.choice((1, 2, 2, 2)),
    )
    sizes = {"C": simd * random.choice((1, 2, 4, 8, 16)), "SIMD": simd, "BITS": random.randint(2, 8), "SIZE": size}
    return {**sizes, "K": 1, "STRIDE": stride, "DEPTHWISE": 0, "PARALLEL": 0, "BLOCK": 0}


def _memstream(random: Random, device: str) -> dict[str, int]:
    block = random.randint(0, 1)
    depth = random.choice((64, 128, 300, 512, 1024)) if block else random.choice((2, 8, 16, 30, 64, 128, 200))
    return {"DEPTH": depth, "WIDTH": random.choice((4, 8, 12, 16, 32, 48, 64, 128)), "BLOCK": block}


def _padding(random: Random, device: str) -> dict[str, int]:
    simd, size = random.choice((1, 2, 3, 4, 8, 16)), random.choice((4, 8, 12, 16, 28, 32, 56))
    fold = random.choice((1, 2, 4, 8, 16))
    return {
        "C": simd * fold,
        "SIMD": simd,
        "BITS": random.randint(2, 8),
        "SIZE": size,
        "PAD": random.choice((1, 1, 2, 3)),
    }


def _fifo(random: Random, device: str) -> dict[str, int]:
    style = random.randint(0, 2)
    depth = random.choice(((2, 4, 8, 16, 20, 32), (40, 64, 100, 128, 256), (300, 512, 1024, 2000))[style])
    return {"DEPTH": depth, "WIDTH": 8 * random.choice((1, 1, 2, 3, 4, 6, 8)), "STYLE": style, "COUNTED": 1}


def _dwc(random: Random, device: str) -> dict[str, int]:
    narrow, factor = random.choice((2, 4, 8, 12, 16, 24)), random.choice((2, 3, 4, 6, 8))
    ends = (narrow, narrow * factor)
    return dict(zip(("IN", "OUT"), ends if random.random() < 0.5 else ends[::-1], strict=True))


_DRAWS: dict[str, Draw] = {
    "finn_mvu": _mvu,
    "finn_vvu": _vvu,
    "finn_thresholds": _thresholds,
    "finn_window": _window,
    "finn_window 1x1": _pixels,
    "finn_memstream": _memstream,
    "finn_padding": _padding,
    "finn_fifo": _fifo,
    "finn_dwc": _dwc,
}
