"""What FINN lets nodes be: all legal foldings, the coupled ones, and the variants that trade."""

from dataclasses import replace

import pytest

from hwdse.finn.messages import Folded
from hwdse.finn.refolding import unit_of
from hwdse.finn_foldings import options, variants
from hwdse.finn_foldings.limits import UNLIMITED, Limits
from hwdse.finn_foldings.options import groups
from hwdse.finn_nodes import (
    ConvolutionInputGenerator,
    Elementwise,
    MemMode,
    Multiplier,
    MvauHls,
    Node,
    RamStyle,
    VvauHls,
)
from tests.hwdse.finn_foldings.small import by_channel, chain, matrix, pool, thresholds, window


def foldings(node: Node) -> set[tuple[int | None, int | None]]:
    """All that are offered."""
    return {one.folding for one in variants.folded(node)}


def test_pe_and_simd_divide_what_they_fold() -> None:
    assert foldings(matrix(6, 4, 4, 1, rtl=True)) == {(pe, simd) for pe in (1, 2, 4) for simd in (1, 2, 3, 6)}
    assert foldings(thresholds(9, 1, 4, rtl=True)) == {(1, None), (3, None), (9, None)}


def test_a_window_at_once_has_all_channels() -> None:
    found = [(one.folding[1], variants.settings(one)["parallel_window"]) for one in variants.folded(window(4, 5, 3, 4))]
    assert found == [(1, 0), (2, 0), (4, 0), (4, 1)]


def test_a_window_generator_brings_what_a_pool_takes() -> None:
    units = chain(window(6, 4, 2, 4), matrix(24, 6, 4, 9, rtl=True), window(6, 4, 2, 4, depthwise=True), pool(6, 4, 9))
    grouped = groups(units)
    assert [len(group) for group in grouped] == [1, 1, 2]
    own = options.of(grouped[2], UNLIMITED, varied=False)
    assert {(first.folding[1], last.folding[0]) for first, last in own.nodes} <= {(n, n) for n in (1, 2, 3, 6)}
    assert own.cycles.tolist() == [max(node.cycles for node in option) for option in own.nodes]


def test_a_window_comes_at_once_where_several_taps_are_taken() -> None:
    (group,) = groups(chain(window(4, 4, 2, 4, depthwise=True), by_channel(4, 4, 9, 4)))
    found = set()
    for first, last in options.of(group, UNLIMITED, varied=False).nodes:
        assert isinstance(first, ConvolutionInputGenerator)
        assert isinstance(last, VvauHls)
        assert first.simd == last.pe
        assert first.parallel_window == (last.simd > 1)
        assert last.simd == 1 or last.pe == 4
        found.add((last.pe, last.simd))
    assert found == {(1, 1), (2, 1), (4, 1), (4, 2)}  # with 4 taps the window generator is no faster than with 2


def test_weights_of_a_pe_are_within_their_limit() -> None:
    (group,) = groups(chain(matrix(24, 2, 6, 1, rtl=False)))
    found = {node.folding[1] for (node,) in options.of(group, Limits(weight_bits=24), varied=False).nodes}
    assert found == {1, 2, 3, 4}
    with pytest.raises(ValueError, match=r"^'MVAU_hls_0' has no legal folding with at most 5 bits of weights of a PE$"):
        options.of(group, Limits(weight_bits=5), varied=False)


def test_finn_limits_the_weights_of_matrix_vector_units_alone() -> None:
    (group,) = groups(chain(window(4, 6, 5, 4, depthwise=True), by_channel(4, 25, 4, 4)))
    found = [option[-1] for option in options.of(group, Limits(weight_bits=4), varied=False).nodes]
    assert (4, 5) in {node.folding for node in found}  # 20 bits of weights of a PE
    assert {variants.weight_bits(node) for node in found} == {0}


def test_what_finn_cannot_build_is_left_out() -> None:
    (group,) = groups(chain(matrix(4096, 2, 2, 1, rtl=False)))
    assert min(node.folding[1] or 0 for (node,) in options.of(group, UNLIMITED, varied=False).nodes) == 4
    (group,) = groups(chain(thresholds(2048, 1, 4, rtl=False)))  # of 16 bits, 15 a channel
    assert max(node.folding[0] or 0 for (node,) in options.of(group, UNLIMITED, varied=False).nodes) == 32
    (group,) = groups(chain(by_channel(256, 9, 4, 4)))
    built = {node.folding for (node,) in options.of(group, UNLIMITED, varied=False).nodes}
    assert (256, 3) in built
    assert (256, 9) not in built


def test_units_in_hls_trade_luts_for_dsps_and_block_rams() -> None:
    node = matrix(64, 8, 4, 1, rtl=False).with_folding(4, 8)
    found = [one for one in variants.made(node) if isinstance(one, MvauHls)]
    assert [(one.multiplier, one.ram_style) for one in found] == [
        (Multiplier.AUTO, RamStyle.AUTO),
        (Multiplier.AUTO, RamStyle.DISTRIBUTED),
        (Multiplier.DSP, RamStyle.AUTO),
        (Multiplier.DSP, RamStyle.DISTRIBUTED),
    ]
    assert [variants.area(one)[1:] for one in found] == [(4, 0, 0), (0, 0, 0), (4, 0, 32), (0, 0, 32)]
    assert [variants.settings(one) for one in found[::3]] == [
        {"resType": "auto", "ram_style": "auto"},
        {"resType": "dsp", "ram_style": "distributed"},
    ]


def test_what_only_vanishes_from_the_estimate_is_no_variant() -> None:
    rtl = matrix(64, 8, 4, 1, rtl=True)
    assert list(variants.made(rtl)) == [rtl]
    assert rtl.bram18s > 0
    alone = window(8, 4, 1, 4)  # of one pixel: FINN counts no block RAM for it
    in_brams = replace(alone, ram_style=RamStyle.BLOCK)
    assert (in_brams.bram18s, in_brams.luts) < (alone.bram18s, alone.luts)
    assert list(variants.made(alone)) == [alone]
    embedded = Elementwise("Add", "hls", 1, (4, 64), (64,), (4, 64), 8, True, MemMode.EMBEDDED, RamStyle.AUTO)
    assert list(variants.made(embedded)) == [embedded]


def test_a_window_generator_trades_luts_for_memories() -> None:
    node = window(64, 32, 3, 8).with_folding(simd=8)
    found = {variants.settings(one)["ram_style"]: variants.area(one) for one in variants.made(node)}
    assert list(found) == ["distributed", "block", "ultra"]
    assert found["distributed"][0] > found["block"][0] == found["ultra"][0] == 300
    assert found["block"][1] > 0 < found["ultra"][2]


def test_what_cannot_be_folded_is_named() -> None:
    (unit,) = chain(pool(4, 4, 4))
    unknown = replace(unit, node=None, operation="Shuffle_hls")
    with pytest.raises(ValueError, match=r"^hwdse has no formulas of Shuffle_hls, which 'Pool_hls_0' is$"):
        groups([unknown])
    alone = chain(window(4, 4, 2, 4, depthwise=True), thresholds(4, 9, 4, rtl=True))
    rule = r"^no unit works on each channel alone behind the window generator 'ConvolutionInputGenerator_rtl_0'$"
    with pytest.raises(ValueError, match=rule):
        groups(alone)


def test_layers_name_what_has_none() -> None:
    node = matrix(64, 8, 4, 1, rtl=True)
    unit = unit_of(Folded("MVAU_rtl_0", 1, 1), "fc1", (), node)
    with pytest.raises(ValueError, match=r"^'fc1' has no legal folding with at most 3 bits of weights of a PE$"):
        options.of((unit,), Limits(weight_bits=3), varied=True)
