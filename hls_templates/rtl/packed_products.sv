// LANES exact integer products of one activation by one `*`, for a DSP block: the weights lie SPACING
// bits apart in one operand, and product i = p[i] + carries[i].
//
// SPACING bits hold every product in two's complement; a field is one too small if the fields below
// it are negative together, which is what its carry says. Narrow weights (without -2^(WB-1)) fit into
// (LANES - 1) * SPACING + WB bits of the operand, others need one more. AMD WP486 does this with two
// INT8, and finn-rtllib's mvu.sv with more. Combinational.
`default_nettype none
module packed_products #(
    parameter LANES = 2,
    parameter WB = 8,
    parameter AB = 8,
    parameter AS = 1,       // whether the activation has a sign; weights have one
    parameter SPACING = 15
) (
    input  wire  [     LANES*WB-1:0] w,
    input  wire  [           AB-1:0] a,
    output logic [LANES*SPACING-1:0] p,
    output logic [        LANES-1:0] carries
);
  localparam PORT = (LANES - 1) * SPACING + WB + 1;
  wire [PORT-1:0] packed_weights[0:LANES-1];  // of the lanes up to i
  wire signed [AB:0] activation = {(AS != 0) & a[AB-1], a};
  wire signed [PORT-1:0] operand = packed_weights[LANES-1];
  wire signed [PORT+AB:0] full = operand * activation;
  wire [PORT+AB-LANES*SPACING:0] unused = full[PORT+AB:LANES*SPACING];
  genvar i;
  generate
    assign p = full[LANES*SPACING-1:0];
    assign carries[0] = 1'b0;
    assign packed_weights[0] = {{PORT - WB{w[WB-1]}}, w[WB-1:0]};
    for (i = 1; i < LANES; i = i + 1) begin : lane
      localparam BASE = i * SPACING;
      // the lanes below fill the fields above with their sign: add it there
      wire [PORT-BASE-1:0] own = {{PORT - BASE - WB{w[i*WB+WB-1]}}, w[i*WB+:WB]};
      wire [PORT-BASE-1:0] sum;
      adder #(.BITS(PORT - BASE)) add (
          .a(own), .b(packed_weights[i-1][PORT-1:BASE]), .invert(1'b0), .carry(1'b0), .s(sum)
      );
      assign packed_weights[i] = {sum, packed_weights[i-1][BASE-1:0]};
      assign carries[i] = full[BASE-1];
    end
  endgenerate
endmodule
`default_nettype wire
