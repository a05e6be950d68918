// A matrix-vector unit with its weights in a memory on chip: `mvu_core`, and GROUPS * (ROWS / PE) *
// (DOT / SIMD) words of PE * SIMD weights from `<MEMORY>weights.hex`, element 0 lowest.
`default_nettype none
module mvu #(
    parameter ROWS = 4,
    parameter DOT = 16,
    parameter GROUPS = 1,  // vectors in turn, each with weights of its own
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
    parameter BLOCK = 0,  // whether the weights are in block RAM
    parameter BUFFER_BLOCK = 0,
    parameter MEMORY = "unit_",
    parameter WB = WS + WE + WM,
    parameter AB = AS + AE + AM,
    parameter IN = ((SHARED != 0) ? 1 : PE) * SIMD * AB
) (
    input  wire               clk,
    input  wire               rst,
    input  wire               in_valid,
    output logic              in_ready,
    input  wire  [    IN-1:0] in_data,
    output logic              out_valid,
    input  wire               out_ready,
    output logic [PE*ACC-1:0] out_data
);
  localparam WORDS = GROUPS * (ROWS / PE) * (DOT / SIMD);
  localparam ADDRESS = (WORDS > 1) ? $clog2(WORDS) : 1;
  wire weight_step;
  wire [PE*SIMD*WB-1:0] weights;
  wire [ADDRESS-1:0] address;
  generate
    if (WORDS == 1) begin : one_word
      assign address = 1'b0;
    end else begin : counted
      logic [ADDRESS-1:0] next;
      always_ff @(posedge clk) begin
        if (rst) next <= {ADDRESS{1'b0}};
        else if (weight_step) next <= (next == ADDRESS'(WORDS - 1)) ? {ADDRESS{1'b0}} : next + 1'b1;
      end
      assign address = next;
    end
  endgenerate

  rom #(.FILE({MEMORY, "weights.hex"}), .WORDS(WORDS), .BITS(PE * SIMD * WB), .BLOCK(BLOCK)) matrix (
      .clk(clk), .read(weight_step), .address(address), .data(weights)
  );

  mvu_core #(
      .ROWS(ROWS), .DOT(DOT), .PE(PE), .SIMD(SIMD), .STYLE(STYLE), .METHOD(METHOD), .WE(WE), .WM(WM), .WS(WS),
      .AE(AE), .AM(AM), .AS(AS), .SHARED(SHARED), .DSP_LANES(DSP_LANES), .LATE(LATE), .PRODUCT(PRODUCT),
      .SUM(SUM), .ACC(ACC), .BUFFER_BLOCK(BUFFER_BLOCK), .MEMORY(MEMORY)
  ) core (
      .clk(clk), .rst(rst), .in_valid(in_valid), .in_ready(in_ready), .in_data(in_data),
      .weight_ready(1'b1), .weight_step(weight_step), .weights(weights),
      .out_valid(out_valid), .out_ready(out_ready), .out_data(out_data)
  );
endmodule
`default_nettype wire
