"""What the built-in campaign runs, and what is refused before anything runs."""

import re
from collections import Counter

import pytest

from hwdse.calibration.plan import MATRICES, PLACED_RUNS, RUNS, Job, jobs
from hwdse.calibration.sample import points
from hwdse.flows.nextpnr import Nextpnr
from hwdse.flows.yosys import Yosys
from hwdse.target import fpga


def test_the_built_in_campaign() -> None:
    found = jobs()
    assert {job.device: job.runs for job in found} == RUNS
    assert sum(RUNS.values()) >= 2000
    assert {(job.counted, job.flow) for job in found} == {("netlist", Yosys())}
    families = [fpga(job.device).family for job in found]
    assert [job.table for job in found] == [f"{family}.netlist.csv" for family in families]
    assert len(set(families)) == len(families)


def test_the_placed_campaign() -> None:
    found = jobs(placed=True)
    assert {job.device: job.runs for job in found} == PLACED_RUNS
    assert {(job.counted, job.flow) for job in found} == {("placed", Nextpnr())}
    assert found[0].table == "ecp5.placed.csv"


def test_devices_and_runs_are_chosen() -> None:
    assert jobs(["ecp5_85f", "u250", "ecp5_85f"], 7) == (
        Job("ecp5_85f", 7, Yosys(), "netlist"),
        Job("u250", 7, Yosys(), "netlist"),
    )
    assert [job.runs for job in jobs(["u250", "ecp5_85f"])] == [RUNS["u250"], 220]
    assert [job.runs for job in jobs(["ecp5_85f"], placed=True)] == [60]


def test_every_kind_of_unit_has_its_share() -> None:
    for job in jobs():
        drawn = Counter(point.unit.module for point in job.points)
        assert drawn.pop("mvu") == MATRICES[job.device] == job.matrices
        search = drawn.pop("threshold_search")
        assert (search, set(drawn.values())) == ((6, {2, 3}) if job.device == "xc7z020" else (84, {42}))


def test_more_of_one_kind_leaves_the_others_as_they_are() -> None:
    target = fpga("gw1nr9")
    few, matrices, others = (
        Counter(p.unit for p in points(target, *n)) for n in ((20, 0, 10), (30, 0, 20), (40, 0, 10))
    )
    assert few < matrices
    assert few < others
    assert few == Counter(p.unit for p in points(target, 20))


def test_a_placed_sample_is_a_part_of_the_other() -> None:
    few, many = jobs(["lifcl40"], 6)[0].points, jobs(["lifcl40"], 12)[0].points
    assert len(few) == 6
    assert {point.unit.name for point in few} <= {point.unit.name for point in many}
    assert {point.device for point in few} == {"lifcl40"}


DEVICES = "ecp5_25f, ecp5_85f, gw1nr9, ice40_hx8k, ice40_up5k, lifcl40"


@pytest.mark.parametrize(
    ("name", "runs", "placed", "message"),
    [
        ("ecp5_25f", 0, False, "a calibration has at least one run, not 0"),
        (
            "vck190",
            1,
            False,
            f"no open tool gives the netlist counts of 'vck190'; known: {DEVICES}, u250, xc7z020, xczu3eg, xczu7ev",
        ),
        ("u250", 1, True, f"no open tool gives the placed counts of 'u250'; known: {DEVICES}"),
    ],
)
def test_what_is_refused(name: str, runs: int, placed: bool, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        jobs([name], runs, placed=placed)
