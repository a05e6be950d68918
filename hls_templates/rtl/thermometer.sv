// How many of 2**BITS - 1 ascending thresholds are reached. Those that are come first, so that the middle one decides
// the highest bit, and which half the other bits are read from: nothing is added. Recursive, combinational.
`default_nettype none
module thermometer #(
    parameter BITS = 4
) (
    input  wire  [(1<<BITS)-2:0] reached,
    output logic [     BITS-1:0] count
);
  localparam HALF = 1 << (BITS - 1);
  assign count[BITS-1] = reached[HALF-1];
  generate
    if (BITS > 1) begin : halves
      wire [HALF-2:0] half = reached[HALF-1] ? reached[2*HALF-2:HALF] : reached[HALF-2:0];
      thermometer #(.BITS(BITS - 1)) rest (.reached(half), .count(count[BITS-2:0]));
    end
  endgenerate
endmodule
`default_nettype wire
