"""A unit of FINN's as the top of a netlist: its ports, its parameters and the contents of its memories."""

from random import Random

import pytest

from hwdse.finn_rtl import sample
from hwdse.finn_rtl.tops import KINDS, Top

THRESHOLDS = {"IN": 9, "BITS": 3, "C": 6, "PE": 2, "SIGNED": 1}


def top(kind: str, **parameters: int) -> Top:
    """The top of a unit."""
    return KINDS[kind].top(parameters)


def test_the_text_of_a_top() -> None:
    assert top("finn_dwc", IN=12, OUT=24).text == (
        "module top (input logic [0:0] clk, input logic [0:0] rst_n, input logic [0:0] in_valid, "
        "input logic [15:0] in_data, input logic [0:0] out_ready, output logic [0:0] in_ready, "
        "output logic [0:0] out_valid, output logic [23:0] out_data);\n"
        "  dwc_axi #(.IBITS(12), .OBITS(24)) unit (.ap_clk(clk), .ap_rst_n(rst_n), .s_axis_tvalid(in_valid), "
        ".s_axis_tready(in_ready), .s_axis_tdata(in_data), .m_axis_tvalid(out_valid), .m_axis_tready(out_ready), "
        ".m_axis_tdata(out_data));\nendmodule\n"
    )


def signed(code: str, bits: int) -> int:
    """What a hexadecimal code of a file says."""
    value = int(code, 16)
    return value - (1 << bits) if value >> (bits - 1) else value


def stages(channel: int) -> list[list[int]]:
    """The thresholds of one channel, stage by stage, as the files of its PE have them."""
    files = {name: content.decode().split() for name, content in top("finn_thresholds", **THRESHOLDS).contents}
    pe, fold = channel % THRESHOLDS["PE"], channel // THRESHOLDS["PE"]
    found = []
    for stage in range(THRESHOLDS["BITS"]):
        words = files[f"all_threshs_{pe}_{stage}.dat"]
        assert len(words) == THRESHOLDS["C"] // THRESHOLDS["PE"] << stage
        found.append([signed(word, 9) for word in words[fold << stage : (fold + 1) << stage]])
    return found


@pytest.mark.parametrize("channel", range(THRESHOLDS["C"]))
def test_a_search_in_the_files_counts_the_thresholds_below(channel: int) -> None:
    tree = stages(channel)
    everything = [code for stage in tree for code in stage]
    assert len(set(everything)) == 7
    for value in Random(channel).sample(range(-256, 256), 60):
        place = 0
        for stage in tree:
            place = 2 * place + (stage[place] <= value)
        assert place == sum(code <= value for code in everything)


def test_a_memory_has_as_many_words_as_it_is_deep() -> None:
    ((name, content),) = top("finn_memstream", DEPTH=30, WIDTH=12, BLOCK=0).contents
    assert name == "memory.dat"
    assert all(int(word, 16) < 1 << 12 for word in content.decode().split())
    assert len(content.decode().split()) == 30


# ---- what is drawn -------------------------------------------------------------------------------


def test_the_sample_is_the_same_each_time_and_has_no_unit_twice() -> None:
    units = sample.units()
    assert units == sample.units()
    assert len(set(units)) == len(units) == sum(sample.COUNTS.values())
    assert {unit.kind for unit in units} == set(KINDS)


def test_the_first_units_are_of_every_kind() -> None:
    assert {unit.kind for unit in sample.units()[: len(sample.COUNTS)]} == set(KINDS)


def test_folding_divides_what_it_folds() -> None:
    for unit in sample.units():
        p = dict(unit.parameters)
        for part, whole in (("PE", "MH"), ("SIMD", "MW"), ("PE", "C"), ("SIMD", "C")):
            if part in p and whole in p:
                assert p[whole] % p[part] == 0, unit.name
        if unit.kind == "finn_mvu":
            assert p["ACC"] >= p["W"] + p["A"] - p["SIGNED"], unit.name
