// Bytes from a serial line: a start bit (0), eight bits, the lowest first, and a stop bit (1), DIVIDER cycles each.
//
// Two registers bring the line to this clock; a bit is taken in its middle, counted from the edge of its start bit.
// Nothing can stop a line: a byte that comes while the one before it has not been taken is lost. A stop bit of 0 is a
// break, or bytes that are out of step: there is no byte, and `broken` is high until the line is 1 again.
`default_nettype none
module uart_rx #(
    parameter DIVIDER = 25
) (
    input  wire        clk,
    input  wire        rst,
    input  wire        rx,
    output logic       out_valid,
    input  wire        out_ready,
    output logic [7:0] out_data,
    output logic       broken
);
  localparam BITS = (DIVIDER > 2) ? $clog2(DIVIDER) : 1;
  logic early, line;
  logic busy;
  logic [BITS-1:0] left;  // cycles until a bit is taken
  logic [3:0] number;  // of that bit: 0 the start bit, 9 the stop bit
  logic [7:0] bits;
  wire take = busy && left == {BITS{1'b0}};
  wire stop = take && number == 4'd9;
  always_ff @(posedge clk) begin
    if (rst) begin
      {line, early} <= 2'b11;
      busy <= 1'b0;
      broken <= 1'b0;
      out_valid <= 1'b0;
    end else begin
      {line, early} <= {early, rx};
      if (!busy) busy <= !line && !broken;
      else if (stop || (take && number == 4'd0 && line)) busy <= 1'b0;
      if (stop) broken <= !line;
      else if (line) broken <= 1'b0;
      if (stop && line) out_valid <= 1'b1;
      else if (out_ready) out_valid <= 1'b0;
    end
    if (!busy) left <= BITS'(DIVIDER / 2 - 1);
    else left <= take ? BITS'(DIVIDER - 1) : left - 1'b1;
    if (!busy) number <= 4'd0;
    else if (take) number <= number + 4'd1;
    if (take && !stop) bits <= {line, bits[7:1]};
    if (stop && (out_ready || !out_valid)) out_data <= bits;
  end
endmodule
`default_nettype wire
