"""The top module of a board: its rate, its queue, its text."""

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from hwdse.board_top import RATES, Rate, beat_bytes, files, pins, queue_bytes, rate
from hwdse.boards import board, boards
from hwdse.netlist import Netlist
from hwdse.simulation import _verilator_program
from hwdse.target import fpga
from hwdse.units import branch, fifo

NETLIST = Netlist.of(fifo(12, 40))


@pytest.mark.parametrize(
    ("mhz", "baud", "divider"),
    [
        (12, 1_000_000, 12),
        (25, 1_000_000, 25),
        (27, 1_000_000, 27),
        (4, 1_000_000, 4),
        (3.6864, 921_600, 4),  # 1,000,000 would have fewer than four cycles
        (6.5, 921_600, 7),  # of 1,000,000 it would be 8 % off; of this, 0.8 %
        (4.5, 115_200, 39),  # of 460,800 and of 230,400 it would be 2.4 % off
        (1.8432, 460_800, 4),
        (0.4608, 115_200, 4),
    ],
)
def test_the_fastest_rate_that_is_met(mhz: float, baud: int, divider: int) -> None:
    found = rate(mhz)
    assert found == Rate(baud, divider)
    assert abs(mhz * 1e6 / divider / baud - 1) < 0.021
    for faster in (one for one in RATES if one > baud):
        assert mhz * 1e6 / faster < 4 or abs(round(mhz * 1e6 / faster) / (mhz * 1e6 / faster) - 1) >= 0.02


def test_a_clock_that_meets_none() -> None:
    known = "1000000, 921600, 460800, 230400, 115200"
    with pytest.raises(ValueError, match=rf"^a clock meets one of the rates {known} within 2 %, unlike 0\.3 MHz$"):
        rate(0.3)


@pytest.mark.parametrize(
    ("image", "device", "queue"),
    [
        (64, "ecp5_25f", 2049),
        (2048, "ecp5_25f", 2049),
        (2049, "ecp5_25f", 4097),
        (3072, "lifcl40", 4097),
        (1, "ice40_up5k", 513),
        (64, "ice40_hx8k", 513),
        (513, "ice40_hx8k", 1025),
    ],
)
def test_the_queue_holds_an_image_and_fills_its_blocks(image: int, device: str, queue: int) -> None:
    assert queue_bytes(image, fpga(device)) == queue
    assert queue >= image


@pytest.mark.parametrize(("bits", "wanted"), [(1, 1), (8, 1), (9, 2), (16, 2), (61, 8)])
def test_bytes_of_a_beat(bits: int, wanted: int) -> None:
    assert beat_bytes(bits) == wanted


def test_the_text() -> None:
    assert (
        dict(files(NETLIST, board("ulx3s_25f"), 2049))["board.sv"].decode()
        == """module board (
  input logic clk,
  input logic rx,
  output logic tx,
  output logic high0
);
  logic [7:0] cycles;  // since the device was configured
  logic off, rst, broken;
  initial cycles = 8'd0;
  always @(posedge clk) begin
    if (!cycles[7]) cycles <= cycles + 8'd1;
    off <= !cycles[7];
    rst <= off || broken;
  end
  logic received_valid, received_ready;
  logic [7:0] received_data;
  logic sent_valid, sent_ready;
  logic [7:0] sent_data;
  logic enters_valid, enters_ready;
  logic [11:0] enters_data;
  logic leaves_valid, leaves_ready;
  logic [11:0] leaves_data;
  uart_rx #(.DIVIDER(25)) receiver (
    .clk(clk), .rst(off), .rx(rx), .broken(broken),
    .out_valid(received_valid), .out_ready(received_ready), .out_data(received_data)
  );
  uart_tx #(.DIVIDER(25)) sender (
    .clk(clk), .rst(rst), .tx(tx),
    .in_valid(sent_valid), .in_ready(sent_ready), .in_data(sent_data)
  );
  host #(.IN_BITS(12), .OUT_BITS(12), .QUEUE(2049), .BLOCK(1)) interface_ (
    .clk(clk), .rst(rst),
    .bytes_in_valid(received_valid), .bytes_in_ready(received_ready), .bytes_in_data(received_data),
    .beats_out_valid(enters_valid), .beats_out_ready(enters_ready), .beats_out_data(enters_data),
    .beats_in_valid(leaves_valid), .beats_in_ready(leaves_ready), .beats_in_data(leaves_data),
    .bytes_out_valid(sent_valid), .bytes_out_ready(sent_ready), .bytes_out_data(sent_data)
  );
  top accelerator (
    .clk(clk), .rst(rst),
    .in_valid(enters_valid), .in_ready(enters_ready), .in_data(enters_data),
    .out_valid(leaves_valid), .out_ready(leaves_ready), .out_data(leaves_data)
  );
  assign high0 = 1'b1;
endmodule
"""
    )


def test_a_board_without_a_clock_pin_has_an_oscillator() -> None:
    one = board("crosslink_nx_evn")
    text = dict(files(NETLIST, one, 2049))["board.sv"].decode()
    assert pins(one) == (("rx", "F16"), ("tx", "F18"))
    assert text.startswith("module board (\n  input logic rx,\n  output logic tx\n);\n  logic clk;\n")
    assert '  OSCA #(.HF_OSC_EN("ENABLED"), .HF_CLK_DIV("17")) oscillator (' in text
    real = dict(files(NETLIST, replace(one, clock_mhz=24.0), 2049))["board.sv"].decode()
    assert '.HF_CLK_DIV("17")' in real
    assert real != text


@pytest.mark.parametrize("name", boards())
def test_lint(name: str, tmp_path: Path) -> None:
    own = files(NETLIST, replace(board(name), clock_pin="any", oscillator_divisor=None), 2049)
    names = [file for file, _ in own]
    assert len(set(names)) == len(names)
    for file, content in own:
        (tmp_path / file).write_bytes(content)
    argv = (*_verilator_program(), "--lint-only", "-Wall", "--top-module", "board", *names)
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_netlist_with_other_streams() -> None:
    message = "a board feeds one stream and reads one, unlike those of a netlist with 1 and 2"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        files(Netlist.of(branch(8)), board("icebreaker"), 513)
