// A matrix-vector unit without its weights: ROWS outputs of DOT terms each per vector, PE outputs and
// SIMD terms of each at a time, so (ROWS / PE) * (DOT / SIMD) cycles a vector and group.
//
// `in`: SIMD activations a beat; every vector is read once, kept, and used for all its outputs. Where
// each output has its own channel (SHARED 0, depthwise) a beat has SIMD activations of PE channels, and
// each is used once. `out`: PE exact sums in two's complement, in the order of the rows.
// Weights come on their own port one cycle after `weight_step`: PE * SIMD of them, PE major, in the
// order (group, output / PE, term / SIMD); `weight_ready` says that the next ones are there.
//
// Stages: operands, products, trees, accumulators. They stall together, and only if a sum is ready
// while the one before waits at `out`.
`default_nettype none
module mvu_core #(
    parameter ROWS = 4,  // outputs that share a vector: of one group
    parameter DOT = 16,
    parameter PE = 1,
    parameter SIMD = 8,
    parameter STYLE = 0,  // as in `product` and `dot`, and so the next lines
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
    parameter ACC = 12,          // bits of an output
    parameter BUFFER_BLOCK = 0,  // whether vectors are kept in block RAM
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
    input  wire                   weight_ready,
    output logic                  weight_step,
    input  wire  [PE*SIMD*WB-1:0] weights,
    output logic                  out_valid,
    input  wire                   out_ready,
    output logic [    PE*ACC-1:0] out_data
);
  localparam SF = DOT / SIMD;
  localparam NF = (SHARED != 0) ? ROWS / PE : 1;  // passes over a kept vector
  localparam SIGNED = (WS != 0 || AS != 0) ? 1 : 0;

  wire last_term, stored;  // the last beat of a pass; a pass that reads the kept vector
  wire [IN-1:0] operand;
  wire [PE*SUM-1:0] sums;
  wire [PE-1:0] carries;
  logic valid_1, valid_2, valid_3, last_1, last_2, last_3;

  // a finished sum has nowhere to go: everything waits
  wire step = !(valid_3 && last_3 && out_valid && !out_ready);
  wire fire = (in_valid || stored) && weight_ready;
  assign in_ready = step && weight_ready && !stored;
  assign weight_step = step && fire;

  always_ff @(posedge clk) begin
    if (rst) begin
      valid_1 <= 1'b0;
      valid_2 <= 1'b0;
      valid_3 <= 1'b0;
    end else if (step) begin
      valid_1 <= fire;
      valid_2 <= valid_1;
      valid_3 <= valid_2;
    end
    if (step) begin
      last_1 <= last_term;
      last_2 <= last_1;
      last_3 <= last_2;
    end
  end

  passes #(.SF(SF), .NF(NF), .BITS(IN), .BLOCK(BUFFER_BLOCK)) vector (
      .clk(clk), .rst(rst), .step(weight_step), .in_data(in_data),
      .last_term(last_term), .stored(stored), .operand(operand)
  );

  dot #(
      .PE(PE), .SIMD(SIMD), .STYLE(STYLE), .METHOD(METHOD), .WE(WE), .WM(WM), .WS(WS), .AE(AE), .AM(AM), .AS(AS),
      .SHARED(SHARED), .DSP_LANES(DSP_LANES), .LATE(LATE), .PRODUCT(PRODUCT), .SUM(SUM), .MEMORY(MEMORY)
  ) products (
      .clk(clk), .step(step), .w(weights), .a(operand), .sums(sums), .carries(carries)
  );

  wire take = step && valid_3;  // a sum enters the accumulators
  always_ff @(posedge clk) begin
    if (rst) out_valid <= 1'b0;
    else if (take && last_3) out_valid <= 1'b1;
    else if (out_ready) out_valid <= 1'b0;
  end

  genvar i;
  generate
    for (i = 0; i < PE; i = i + 1) begin : pe
      accumulator #(.SUM(SUM), .ACC(ACC), .SIGNED(SIGNED), .TERMS(SF)) add (
          .clk(clk), .rst(rst), .take(take), .last(last_3),
          .sum(sums[i*SUM+:SUM]), .carry(carries[i]), .total(out_data[i*ACC+:ACC])
      );
    end
  endgenerate
endmodule
`default_nettype wire
