// Adds two streams of LANES codes of one format: exact sums in two's complement, in units of its smallest step.
//
// One beat a cycle; a sum appears one cycle after both its beats were there.
`default_nettype none
module residual_add #(
    parameter LANES = 1,
    parameter AE = 0,
    parameter AM = 7,
    parameter AS = 1,
    parameter SUM = 9,  // bits of a sum: holds every one
    parameter AB = AS + AE + AM
) (
    input  wire                  clk,
    input  wire                  rst,
    input  wire                  a_valid,
    output logic                 a_ready,
    input  wire  [ LANES*AB-1:0] a_data,
    input  wire                  b_valid,
    output logic                 b_ready,
    input  wire  [ LANES*AB-1:0] b_data,
    output logic                 out_valid,
    input  wire                  out_ready,
    output logic [LANES*SUM-1:0] out_data
);
  localparam VALUE = AS + AM + (1 << AE) - 1;  // bits of a code's value
  wire step = !out_valid || out_ready;
  wire take = step && a_valid && b_valid;
  assign a_ready = step && b_valid;
  assign b_ready = step && a_valid;
  always_ff @(posedge clk) begin
    if (rst) out_valid <= 1'b0;
    else if (step) out_valid <= take;
  end
  genvar i;
  generate
    for (i = 0; i < LANES; i = i + 1) begin : lane
      wire [VALUE-1:0] a, b;
      wire [SUM-1:0] wide_a, wide_b, sum;
      fixed_point #(.E(AE), .M(AM), .SIGNED(AS)) decode_a (.code(a_data[i*AB+:AB]), .value(a));
      fixed_point #(.E(AE), .M(AM), .SIGNED(AS)) decode_b (.code(b_data[i*AB+:AB]), .value(b));
      resize #(.FROM(VALUE), .TO(SUM), .SIGNED(AS)) widen_a (.x(a), .y(wide_a));
      resize #(.FROM(VALUE), .TO(SUM), .SIGNED(AS)) widen_b (.x(b), .y(wide_b));
      adder #(.BITS(SUM)) add (.a(wide_a), .b(wide_b), .invert(1'b0), .carry(1'b0), .s(sum));
      always_ff @(posedge clk) if (take) out_data[i*SUM+:SUM] <= sum;
    end
  endgenerate
endmodule
`default_nettype wire
