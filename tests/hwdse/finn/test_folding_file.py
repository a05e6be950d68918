"""The file of a folding: what is written is read, and what is none of ours is refused."""

import json
import re

import pytest

from hwdse.finn import FinnError
from hwdse.finn.folding_file import read, settings, text
from hwdse.finn.messages import Folded

FOLDING = (
    *(Folded("MVAU_rtl_0", 4, 8), Folded("Thresholding_rtl_0", 2, None), Folded("StreamingFIFO_rtl_0", None, None)),
    *(Folded(f"ConvolutionInputGenerator_rtl_{int(at_once)}", None, 4, at_once) for at_once in (False, True)),
)
OTHERS = {"MVAU_rtl_0": {"PE": 1, "SIMD": 1, "mem_mode": "internal_decoupled"}}


def test_what_is_written_is_read() -> None:
    written = text(FOLDING, OTHERS)
    assert read(written) == FOLDING
    assert settings(written)["MVAU_rtl_0"] == {"PE": 4, "SIMD": 8, "mem_mode": "internal_decoupled"}
    assert settings(written)["ConvolutionInputGenerator_rtl_1"] == {"SIMD": 4, "parallel_window": 1}
    assert json.loads(written) == {"Defaults": {}, **settings(written)}


def test_attributes_of_another_network() -> None:
    known = "MVAU_rtl_0, Thresholding_rtl_0, StreamingFIFO_rtl_0, ConvolutionInputGenerator_rtl_0, .*"
    with pytest.raises(FinnError, match=rf"^a folding has no node 'MVAU_hls_0'; known: {known}$"):
        text(FOLDING, {"MVAU_hls_0": {"ram_style": "auto"}})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("no", "a folding of FINN is JSON: Expecting value: line 1 column 1 (char 0)"),
        ("[]", "a folding of FINN is an object of JSON with an object for each node"),
        ('{"a": 1}', "a folding of FINN is an object of JSON with an object for each node"),
        ('{"Defaults": {"PE": [2, ["MVAU_rtl"]]}}', "a folding of FINN names each node, without 'Defaults'"),
        ('{"MVAU_rtl_0": {"PE": 1.5}}', "PE of 'MVAU_rtl_0' is a whole number, not 1.5"),
        ('{"SWG": {"parallel_window": 2}}', "parallel_window of 'SWG' is 0 or 1, not 2"),
        ('{"MVAU_rtl_0": {"SIMD": true}}', "SIMD of 'MVAU_rtl_0' is a whole number, not True"),
    ],
)
def test_what_is_no_folding(content: str, said: str) -> None:
    with pytest.raises(FinnError, match=f"^{re.escape(said)}$"):
        read(content)
