// Counts steps from 0 to STATES - 1 and again; says whether it stands at the first or the last.
//
// Both are registers: what they select then costs no more than the selection.
`default_nettype none
module counter #(
    parameter STATES = 4,
    parameter BITS = (STATES > 1) ? $clog2(STATES) : 1
) (
    input  wire  clk,
    input  wire  rst,
    input  wire  step,
    output logic first,
    output logic last
);
  generate
    if (STATES == 1) begin : one
      wire unused = clk ^ rst ^ step;
      assign first = 1'b1;
      assign last = 1'b1;
    end else begin : several
      logic [BITS-1:0] state;
      always_ff @(posedge clk) begin
        if (rst) begin
          state <= {BITS{1'b0}};
          first <= 1'b1;
          last <= 1'b0;
        end else if (step) begin
          state <= last ? {BITS{1'b0}} : state + 1'b1;
          first <= last;
          last <= state == BITS'(STATES - 2);
        end
      end
    end
  endgenerate
endmodule
`default_nettype wire
