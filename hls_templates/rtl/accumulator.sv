// Adds up TERMS sums and carries, one each `take`; `total` is theirs after the `last`, and stays until the next.
//
// The running sum is cleared through the reset pins of its registers, so that no LUT chooses between
// it and zero, and the total has registers of its own. One cycle.
`default_nettype none
module accumulator #(
    parameter SUM = 11,
    parameter ACC = 12,    // of the total, in two's complement
    parameter SIGNED = 1,  // whether `sum` is
    parameter TERMS = 2
) (
    input  wire            clk,
    input  wire            rst,
    input  wire            take,
    input  wire            last,
    input  wire  [SUM-1:0] sum,
    input  wire            carry,
    output logic [ACC-1:0] total
);
  wire [ACC-1:0] wide, so_far, next;
  resize #(.FROM(SUM), .TO(ACC), .SIGNED(SIGNED)) extend (.x(sum), .y(wide));
  adder #(.BITS(ACC)) add (.a(so_far), .b(wide), .invert(1'b0), .carry(carry), .s(next));
  generate
    if (TERMS == 1) begin : one
      wire unused = rst;
      assign so_far = {ACC{1'b0}};
    end else begin : several
      logic [ACC-1:0] running;
      always_ff @(posedge clk) begin
        if (rst || (take && last)) running <= {ACC{1'b0}};
        else if (take) running <= next;
      end
      assign so_far = running;
    end
  endgenerate
  always_ff @(posedge clk) begin
    if (take && last) total <= next;
  end
endmodule
`default_nettype wire
