// Gives every beat to two readers, each at its own pace; a beat is gone when both have taken it.
//
// Combinational, but for a register for each reader: whether it already has the present beat.
`default_nettype none
module branch #(
    parameter BITS = 8
) (
    input  wire             clk,
    input  wire             rst,
    input  wire             in_valid,
    output logic            in_ready,
    input  wire  [BITS-1:0] in_data,
    output logic            out0_valid,
    input  wire             out0_ready,
    output logic [BITS-1:0] out0_data,
    output logic            out1_valid,
    input  wire             out1_ready,
    output logic [BITS-1:0] out1_data
);
  logic [1:0] taken;
  wire [1:0] ready = taken | {out1_ready, out0_ready};
  assign in_ready = &ready;
  assign {out1_valid, out0_valid} = {2{in_valid}} & ~taken;
  assign out0_data = in_data;
  assign out1_data = in_data;
  always_ff @(posedge clk) begin
    if (rst) taken <= 2'b00;
    else if (in_valid) taken <= in_ready ? 2'b00 : ready;
  end
endmodule
`default_nettype wire
