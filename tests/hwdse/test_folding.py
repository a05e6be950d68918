"""Foldings: which are legal, how long they take, and that the cheapest that keeps the rate is found."""

import re
from dataclasses import replace

import pytest

from hwdse.design import Folding
from hwdse.folding import check, cycles, fold, legal, multiplies, stream_width, taps_at_once, window
from hwdse.serial_window import serial_cycles
from hwdse.window import Window
from hwdse.workload import OUTSIDE, Layer
from tests.cost_models.workloads import (
    ADD,
    ALL_KINDS,
    AVG_POOL,
    CONV,
    DEPTHWISE,
    GROUPED,
    LINEAR,
    MATMUL,
    MAX_POOL,
    STRIDED,
    TABLE,
    conv,
)

INSIDE = [layer for layer in ALL_KINDS.layers if layer.kind not in OUTSIDE]
NAMES = [layer.name for layer in INSIDE]


@pytest.mark.parametrize("layer", INSIDE, ids=NAMES)
def test_legal_foldings_are_all_that_pass_the_check(layer: Layer) -> None:
    passing = []
    for pe in range(1, layer.rows + 1):
        for simd in range(1, layer.dot + 1):
            try:
                check(layer, Folding(pe, simd))
            except ValueError:
                continue
            passing.append(Folding(pe, simd))
    assert list(legal(layer)) == passing


@pytest.mark.parametrize(
    ("layer", "folding", "message"),
    [
        (CONV, Folding(5, 1), "PE divides 16 in layer 'conv', so its folding is not 5x1"),
        (CONV, Folding(1, 4), "SIMD divides 27 in layer 'conv', so its folding is not 1x4"),
        (GROUPED, Folding(16, 1), "PE divides 8 in layer 'grouped', so its folding is not 16x1"),
        (MATMUL, Folding(128, 1), "PE divides 64 in layer 'matmul', so its folding is not 128x1"),
        (MAX_POOL, Folding(1, 2), "SIMD divides 1 in layer 'max_pool', so its folding is not 1x2"),
        (
            GROUPED,
            Folding(8, 12),
            "SIMD divides the 8 channels of a tap or is a multiple of them in layer 'grouped', "
            "so its folding is not 8x12",
        ),
        (DEPTHWISE, Folding(3, 9), "PE divides 16 in layer 'depthwise', so its folding is not 3x9"),
    ],
)
def test_illegal_foldings(layer: Layer, folding: Folding, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        check(layer, folding)


@pytest.mark.parametrize(
    ("layer", "folding", "expected"),
    [
        (CONV, Folding(1, 1), 32 * 32 * 16 * 27),
        (CONV, Folding(4, 9), 32 * 32 * 4 * 3),
        (CONV, Folding(16, 27), 32 * 32),  # a pixel a cycle; padding takes none
        (DEPTHWISE, Folding(1, 1), 32 * 32 * 16 * 9),
        (DEPTHWISE, Folding(16, 9), 32 * 32),
        (STRIDED, Folding(1, 1), 16 * 16 * 32 * 16),
        (STRIDED, Folding(32, 1), 32 * 32 * 16),  # its input is four times its output
        (GROUPED, Folding(8, 8), 16 * 16 * 4 * 9),
        (MATMUL, Folding(1, 1), 64 * 256 * 16),
        (MATMUL, Folding(64, 16), 256),
        (LINEAR, Folding(2, 4), 5 * 8),
        (ADD, Folding(1, 1), 256 * 32),
        (ADD, Folding(4, 1), 256 * 8),
        (MAX_POOL, Folding(1, 1), 64 * 32 * 4),
        (TABLE, Folding(2, 1), 64 * 16),
        (AVG_POOL, Folding(8, 1), 64 * 4),
    ],
)
def test_cycles(layer: Layer, folding: Folding, expected: int) -> None:
    assert cycles(layer, folding) == expected


@pytest.mark.parametrize("layer", INSIDE, ids=NAMES)
def test_more_lanes_never_take_longer(layer: Layer) -> None:
    for folding in legal(layer):
        for other in legal(layer):
            if other.pe % folding.pe == 0 and other.simd % folding.simd == 0:
                assert cycles(layer, other) <= cycles(layer, folding)


def test_a_window_gives_parts_of_a_tap_or_whole_taps() -> None:
    wide = conv("wide", "a", ("b",), (16, 4), 8)
    assert sorted({folding.simd for folding in legal(wide)}) == [1, 2, 4, 8, 16, 48, 144]
    assert sorted({folding.simd for folding in legal(DEPTHWISE)}) == [1, 3, 9]


def test_windows() -> None:
    assert window(CONV, Folding(1, 1), 4) == Window(32, 32, (3, 3), (1, 1), (1, 1), 1, 4, 3)
    assert window(CONV, Folding(1, 9), 4) == Window(32, 32, (3, 3), (1, 1), (1, 1), 3, 4, 1)
    assert window(DEPTHWISE, Folding(8, 3)) == Window(32, 32, (3, 3), (1, 1), (1, 1), 8, 1, 2, 2)
    assert window(MAX_POOL, Folding(4, 1)) == Window(16, 16, (2, 2), (2, 2), (0, 0), 4, 1, 8, 8)
    assert window(STRIDED, Folding(1, 1)) == Window(32, 32, (1, 1), (2, 2), (0, 0), 1, 1, 16)
    assert window(LINEAR, Folding(1, 1)) is None


def test_a_window_without_padding_waits_between_images() -> None:
    valid = replace(conv("valid", "a", ("b",), (4, 4), 8), padding=(0, 0), positions=36, out_shape=(4, 6, 6))
    work = 36 * 9
    assert cycles(valid, Folding(4, 4)) == serial_cycles(Window(8, 8, (3, 3), lanes=4)) > work


def test_several_taps_at_once_have_little_padding() -> None:
    padded = conv("padded", "a", ("b",), (4, 4), 8, kernel=2)  # padding 1 of 2 taps
    assert {folding.simd for folding in legal(padded)} == {1, 2, 4}


def test_padding_of_whole_windows_names_the_layer() -> None:
    padded = replace(conv("padded", "a", ("b",), (4, 4), 8, kernel=1), padding=(1, 1))
    message = "padding is less than the 1 taps of the kernel, unlike 1, in layer 'padded'"
    with pytest.raises(ValueError, match=f"^{message}$"):
        cycles(padded, Folding())


def test_stream_widths() -> None:
    assert [stream_width(CONV, Folding(1, simd)) for simd in (1, 3, 27)] == [1, 3, 3]
    assert stream_width(DEPTHWISE, Folding(4, 9)) == 4
    assert stream_width(GROUPED, Folding(1, 72)) == 8
    assert stream_width(LINEAR, Folding(1, 16)) == 16
    assert stream_width(ADD, Folding(2, 1)) == 2
    assert [taps_at_once(CONV, Folding(1, simd)) for simd in (1, 3, 9, 27)] == [1, 1, 3, 9]
    assert (taps_at_once(DEPTHWISE, Folding(4, 9)), taps_at_once(MAX_POOL, Folding(8, 1))) == (9, 1)


@pytest.mark.parametrize("budget", [1156, 5000, 20_000, 10**6, 10**9])
def test_fold_is_the_cheapest_of_all(budget: int) -> None:
    if budget < 16384:  # the strided layer reads 16,384 elements, at most 16 a cycle
        layers = tuple(layer for layer in ALL_KINDS.layers if cycles_least(layer) <= budget)
    else:
        layers = ALL_KINDS.layers
    found = fold(replace(ALL_KINDS, layers=layers), budget)
    assert set(found) == {layer.name for layer in layers if layer.kind not in OUTSIDE}
    for layer in (layer for layer in layers if layer.kind not in OUTSIDE):
        fast = [f for f in legal(layer) if cycles(layer, f) <= budget]
        lanes = min(f.pe * f.simd for f in fast)
        assert found[layer.name] == max((f for f in fast if f.pe * f.simd == lanes), key=lambda f: f.simd)


def cycles_least(layer: Layer) -> int:
    return 0 if layer.kind in OUTSIDE else min(cycles(layer, folding) for folding in legal(layer))


def test_without_hardware_only_what_multiplies_is_folded() -> None:
    found = fold(replace(ALL_KINDS, hardware=False), 10**6)
    assert set(found) == {layer.name for layer in INSIDE if multiplies(layer)}


def test_a_rate_out_of_reach_names_the_layer_and_its_least() -> None:
    message = "layer 'conv' needs at least 1024 cycles per frame, more than 1000"
    with pytest.raises(ValueError, match=f"^{message}$"):
        fold(ALL_KINDS, 1000)
