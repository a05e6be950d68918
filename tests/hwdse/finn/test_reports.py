"""FINN's files after the estimates: a status, verifications, numbers; what is missing or failed is an error."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from hwdse.finn import FinnError
from hwdse.finn.reports import (
    NetworkEstimate,
    NodeEstimate,
    check_status,
    check_verification,
    estimates,
)

AREA = {"BRAM_18K": 1, "BRAM_efficiency": 0.5, "LUT": 12.0, "URAM": 0, "URAM_efficiency": 1, "DSP": 4}


def left(output: Path) -> Path:
    """The files of a network of one node, as FINN's builder writes them."""
    report, verification = output / "report", output / "verification_output"
    report.mkdir(parents=True)
    verification.mkdir()
    (report / "metadata_builder.json").write_text(json.dumps({"status": "ok", "tool_version": "no-vivado"}))
    (report / "estimate_layer_cycles.json").write_text(json.dumps({"MVAU_rtl_0": 64}))
    (report / "estimate_layer_resources.json").write_text(json.dumps({"MVAU_rtl_0": AREA, "total": AREA}))
    performance = {"critical_path_cycles": 70, "max_cycles": 64, "max_cycles_node_name": "MVAU_rtl_0"}
    (report / "estimate_network_performance.json").write_text(json.dumps(performance))
    (verification / "verify_initial_python_0_SUCCESS.npy").touch()
    return output


def test_a_network(tmp_path: Path) -> None:
    output = left(tmp_path)
    check_status(output)
    check_verification(output, ("initial_python",), 1)
    assert estimates(output) == NetworkEstimate((NodeEstimate("MVAU_rtl_0", 64, 12, 1, 0, 4),), 64, 70)


def test_a_verification_that_failed_or_was_not_done(tmp_path: Path) -> None:
    output = left(tmp_path)
    with pytest.raises(FinnError, match=r"^FINN's verification initial_python of image 1 was not done$"):
        check_verification(output, ("initial_python",), 2)
    (output / "verification_output" / "verify_initial_python_1_FAIL.npy").touch()
    with pytest.raises(FinnError, match=r"^FINN's verification initial_python finds other logits for image 1$"):
        check_verification(output, ("initial_python",), 2)


STATUS, CYCLES = "metadata_builder.json", "estimate_layer_cycles.json"


@pytest.mark.parametrize(
    ("file", "text", "ask", "said"),
    [
        (
            STATUS,
            '{"status": "failed"}',
            check_status,
            "FINN's build ended with status 'failed'; see {}/build_dataflow.log",
        ),
        (STATUS, None, check_status, "FINN's build has left no {}/report/metadata_builder.json"),
        (
            STATUS,
            "no",
            check_status,
            "{}/report/metadata_builder.json is no report of FINN: Expecting value: line 1 column 1 (char 0)",
        ),
        (STATUS, "[]", check_status, "{}/report/metadata_builder.json is no report of FINN: it is no table"),
        (
            CYCLES,
            '{"MVAU_rtl_1": 64}',
            estimates,
            "{}/report/estimate_layer_resources.json is about MVAU_rtl_0, total, unlike "
            "{}/report/estimate_layer_cycles.json",
        ),
        (
            CYCLES,
            '{"MVAU_rtl_0": null}',
            estimates,
            "report/estimate_layer_cycles.json has a number 'MVAU_rtl_0', not None",
        ),
        (
            CYCLES,
            '{"MVAU_rtl_0": 64.5}',
            estimates,
            "report/estimate_layer_cycles.json has a whole number 'MVAU_rtl_0', not 64.5",
        ),
        (
            CYCLES,
            '{"MVAU_rtl_0": NaN}',
            estimates,
            "report/estimate_layer_cycles.json has a number 'MVAU_rtl_0', not nan",
        ),
    ],
)
def test_a_report_that_is_not_as_it_should_be(
    file: str, text: str | None, ask: Callable[[Path], object], said: str, tmp_path: Path
) -> None:
    path = left(tmp_path) / "report" / file
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(FinnError, match=f"^{re.escape(said.replace('{}', str(tmp_path)))}$"):
        ask(tmp_path)
