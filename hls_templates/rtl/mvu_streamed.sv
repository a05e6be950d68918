// A matrix-vector unit whose weights arrive as a stream `weights`, a beat of PE * SIMD each cycle, in the
// order in which `mvu_core` uses them. With `operand_store` before it, the product of two streamed
// matrices, as in attention.
`default_nettype none
module mvu_streamed #(
    parameter ROWS = 4,
    parameter DOT = 16,
    parameter PE = 1,
    parameter SIMD = 8,
    parameter STYLE = 0,
    parameter METHOD = 1,
    parameter WE = 0,
    parameter WM = 3,
    parameter WS = 1,
    parameter AE = 0,
    parameter AM = 3,
    parameter AS = 1,
    parameter SHARED = 1,
    parameter DSP_LANES = 1,
    parameter LATE = 0,
    parameter PRODUCT = 8,
    parameter SUM = 11,
    parameter ACC = 12,
    parameter BUFFER_BLOCK = 0,
    parameter MEMORY = "unit_",
    parameter WB = WS + WE + WM,
    parameter AB = AS + AE + AM,
    parameter IN = ((SHARED != 0) ? 1 : PE) * SIMD * AB
) (
    input  wire                   clk,
    input  wire                   rst,
    input  wire                   in_valid,
    output logic                  in_ready,
    input  wire  [        IN-1:0] in_data,
    input  wire                   weights_valid,
    output logic                  weights_ready,
    input  wire  [PE*SIMD*WB-1:0] weights_data,
    output logic                  out_valid,
    input  wire                   out_ready,
    output logic [    PE*ACC-1:0] out_data
);
  logic [PE*SIMD*WB-1:0] weights;
  always_ff @(posedge clk) if (weights_ready) weights <= weights_data;

  mvu_core #(
      .ROWS(ROWS), .DOT(DOT), .PE(PE), .SIMD(SIMD), .STYLE(STYLE), .METHOD(METHOD), .WE(WE), .WM(WM), .WS(WS),
      .AE(AE), .AM(AM), .AS(AS), .SHARED(SHARED), .DSP_LANES(DSP_LANES), .LATE(LATE), .PRODUCT(PRODUCT),
      .SUM(SUM), .ACC(ACC), .BUFFER_BLOCK(BUFFER_BLOCK), .MEMORY(MEMORY)
  ) core (
      .clk(clk), .rst(rst), .in_valid(in_valid), .in_ready(in_ready), .in_data(in_data),
      .weight_ready(weights_valid), .weight_step(weights_ready), .weights(weights),
      .out_valid(out_valid), .out_ready(out_ready), .out_data(out_data)
  );
endmodule
`default_nettype wire
