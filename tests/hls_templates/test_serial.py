"""The serial line: bytes pass it as they are, at any rate that both ends have about in common; and the host's bytes."""

import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from hwdse.beats import pack, unpack
from hwdse.formats import parse
from hwdse.netlist import Instance, Netlist, Stream, Unit, closure, modules, source
from hwdse.simulation import SimulationError, build, lint
from hwdse.units import host, residual_add
from tests.hls_templates.leaves import STALLS, cache_of, side_by_side

RTL = Path(__file__).parents[2] / "hls_templates" / "rtl"
BYTES = 60
# Both ends of a line in one module: what is sent is received, and waits in a queue. CUT: the line is 0 while a beat of
# `in` has its bit 8; then `out` has the bit 8, once, when the break is over.
LINE = """
module line #(parameter SENDER = 4, parameter RECEIVER = 4, parameter DEPTH = 64) (
  input wire clk, input wire rst,
  input wire in_valid, output wire in_ready, input wire [8:0] in_data,
  output wire out_valid, input wire out_ready, output wire [8:0] out_data
);
  wire tx, valid, ready, broken;
  wire [7:0] data;
  logic [9:0] cut;  // cycles
  logic was_broken;
  wire cutting = cut != 10'd0;
  wire sent;
  assign in_ready = sent && !cutting;
  always_ff @(posedge clk) begin
    if (rst) cut <= 10'd0;
    else if (cutting) cut <= cut - 10'd1;
    else if (in_valid && in_ready && in_data[8]) cut <= 10'd1023;
    was_broken <= broken && !rst;
  end
  uart_tx #(.DIVIDER(SENDER)) sender (
      .clk(clk), .rst(rst), .in_valid(in_valid && !cutting && !in_data[8]), .in_ready(sent), .in_data(in_data[7:0]),
      .tx(tx)
  );
  uart_rx #(.DIVIDER(RECEIVER)) receiver (
      .clk(clk), .rst(rst), .rx(tx && !(cutting && cut > 10'd400)), .broken(broken),
      .out_valid(valid), .out_ready(ready), .out_data(data)
  );
  wire over = was_broken && !broken;
  fifo #(.BITS(9), .DEPTH(DEPTH)) queue (
      .clk(clk), .rst(rst), .in_valid(valid || over), .in_ready(ready), .in_data({over, data & {8{!over}}}),
      .out_valid(out_valid), .out_ready(out_ready), .out_data(out_data)
  );
endmodule
"""


@pytest.fixture
def cache(request: pytest.FixtureRequest) -> Path:
    return cache_of(request)


@pytest.fixture
def with_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The leaf modules, and the one above."""
    shutil.copytree(RTL, tmp_path / "rtl")
    (tmp_path / "rtl" / "line.sv").write_text(LINE)
    monkeypatch.setattr("hwdse.netlist.files", lambda package: tmp_path)
    for function in (modules, source, closure):
        function.cache_clear()
    yield
    for function in (modules, source, closure):
        function.cache_clear()


def line(sender: int, receiver: int, depth: int = 64) -> Unit:
    """A line with so many cycles of a bit at its ends."""
    parameters = (("SENDER", sender), ("RECEIVER", receiver), ("DEPTH", depth))
    return Unit("line", parameters, (Stream("in", 9),), (Stream("out", 9),))


def random_bytes(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 1))


PAIRS = ((4, 4), (5, 5), (12, 12), (27, 27), (25, 24), (24, 25))


def test_bytes_pass_a_line(cache: Path, with_line: None) -> None:
    sent = random_bytes(BYTES)
    simulator = build(side_by_side([line(*pair) for pair in PAIRS]), cache)
    given = {f"in{i}": pack(sent, 9) for i in range(len(PAIRS))}
    for stall in STALLS:
        found = simulator.run(given, outputs={f"out{i}": BYTES for i in range(len(PAIRS))}, stall=stall)
        for i, (sender, _) in enumerate(PAIRS):
            assert np.array_equal(unpack(found.outputs[f"out{i}"], 9, 1), sent)
            if stall == 0:
                assert set(np.diff(found.cycles[f"in{i}"])) == {10 * sender + 1}


def test_rates_that_differ_by_12_percent_do_not_pass(cache: Path, with_line: None) -> None:
    sent = random_bytes(BYTES)
    simulator = build(side_by_side([line(25, 22), line(25, 28)]), cache)
    wanted = {"out0": 10, "out1": 10}
    found = simulator.run({"in0": pack(sent, 9), "in1": pack(sent, 9)}, outputs=wanted, exact=False)
    for name in wanted:
        assert not np.array_equal(unpack(found.outputs[name], 9, 1), sent[:10])


def test_a_break_is_no_byte_and_is_seen(cache: Path, with_line: None) -> None:
    sent = [[65], [66], [256], [67], [256], [256], [0], [255]]
    found = build(Netlist.of(line(12, 12)), cache).run({"in": pack(sent, 9)}, outputs={"out": len(sent)}, stall=0.3)
    assert unpack(found.outputs["out"], 9, 1).tolist() == sent


def test_a_byte_that_nobody_takes_is_lost(cache: Path, with_line: None) -> None:
    """The queue of one, the register of the receiver; what comes then is lost, and those two are still the first."""
    sent = np.arange(10).reshape(-1, 1)
    simulator = build(Netlist.of(line(4, 4, depth=1)), cache)
    found = simulator.run({"in": pack(sent, 9)}, outputs={"out": 2}, stall=0.999, seed=3, exact=False)
    assert unpack(found.outputs["out"], 9, 1).tolist() == [[0], [1]]
    with pytest.raises(SimulationError, match=r"^no beat moves for 60000 cycles: in moved 10 of 10, out moved [2-9] "):
        simulator.run({"in": pack(sent, 9)}, outputs={"out": 10}, stall=0.9999, seed=3, idle_cycles=60_000)


def test_lint(with_line: None) -> None:
    assert lint(Netlist.of(line(12, 12))) == ()


# ---- bytes and beats -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Bytes:
    """A host, what enters it and what must leave it: `n x 1` beats."""

    unit: Unit
    inputs: Mapping[str, list[list[int]]]
    outputs: Mapping[str, list[list[int]]]


def hosts() -> list[Bytes]:
    """Beats of one byte, of parts of bytes, of many."""
    random = np.random.default_rng(1)
    cases = []
    for bits_in, bits_out in ((8, 8), (3, 20), (16, 9), (70, 1), (24, 61)):
        bytes_in, bytes_out = (bits_in + 7) // 8, (bits_out + 7) // 8
        line = random.integers(0, 256, (20 * bytes_in, 1))
        beats = [int.from_bytes(bytes(row), "little") % 2**bits_in for row in line.reshape(20, bytes_in).tolist()]
        results = [int(n) % 2**bits_out for n in random.integers(0, 2**61, 20)]
        answer = [[byte] for n in results for byte in n.to_bytes(bytes_out, "little")]
        cases.append(
            Bytes(
                host(bits_in, bits_out, 5),
                {"bytes_in": line.tolist(), "beats_in": [[n] for n in results]},
                {"beats_out": [[n] for n in beats], "bytes_out": answer},
            )
        )
    return cases


def test_beats_of_bytes_and_bytes_of_beats(cache: Path) -> None:
    cases = hosts()
    simulator = build(side_by_side([case.unit for case in cases]), cache)
    given = {
        f"{s.name}{i}": pack(case.inputs[s.name], s.bits) for i, case in enumerate(cases) for s in case.unit.inputs
    }
    wanted = {f"{name}{i}": beats for i, case in enumerate(cases) for name, beats in case.outputs.items()}
    bits = {f"{s.name}{i}": s.bits for i, case in enumerate(cases) for s in case.unit.outputs}
    for stall in STALLS:
        found = simulator.run(given, outputs={name: len(beats) for name, beats in wanted.items()}, stall=stall)
        for name, beats in wanted.items():
            assert unpack(found.outputs[name], bits[name], 1).tolist() == beats, (name, stall)


@pytest.mark.parametrize("queue", [9, 65])
def test_the_queue_holds_what_it_says(queue: int, cache: Path) -> None:
    """Before an accelerator that takes nothing: here an adder that waits for its other operand."""
    unit, add = host(8, 9, queue), residual_add(parse("int8"), 1)
    ends = (("bytes_in", "bytes_in"), ("beats_out", "a"), ("beats_in", "sum"), ("bytes_out", "bytes_out"))
    adder = Instance("add", add, (("a", "a"), ("b", "b"), ("out", "sum")))
    simulator = build(Netlist((Instance("host", unit, ends), adder)), cache)
    given = {"bytes_in": pack(random_bytes(3 * queue), 8), "b": pack(np.zeros((0, 1), int), 8)}
    with pytest.raises(SimulationError) as caught:
        simulator.run(given, outputs={"bytes_out": 1}, idle_cycles=99)
    taken = re.search(r"bytes_in moved (\d+) of", str(caught.value))
    assert taken is not None
    assert queue <= int(taken[1]) <= queue + 1


def test_hosts_lint() -> None:
    assert [found for case in hosts() for found in lint(Netlist.of(case.unit))] == []
