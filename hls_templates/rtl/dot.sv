// PE exact dot products of SIMD terms: sum of w * a for each PE, as sums[i] + carries[i].
//
// Formats and STYLE as in `product`; STYLE 4 packs DSP_LANES integer products into one DSP block.
// Two register stages that move with `step`: the products, and the sums of their trees.
`default_nettype none
module dot #(
    parameter PE = 1,
    parameter SIMD = 8,
    parameter STYLE = 0,
    parameter METHOD = 1,      // of `multiplier`
    parameter WE = 0,
    parameter WM = 3,
    parameter WS = 1,
    parameter AE = 0,
    parameter AM = 3,
    parameter AS = 1,
    parameter SHARED = 1,      // whether all PE read the same activations (not in depthwise layers)
    parameter DSP_LANES = 1,   // of STYLE 4
    parameter LATE = 0,        // 1: exact are inverted after their register, where an adder's LUT has room for it
    parameter PRODUCT = 8,     // bits of a product
    parameter SUM = 11,        // bits of a sum
    parameter MEMORY = "unit_",
    parameter WB = WS + WE + WM,
    parameter AB = AS + AE + AM,
    parameter COPIES = (SHARED != 0) ? 1 : PE
) (
    input  wire                       clk,
    input  wire                       step,
    input  wire  [    PE*SIMD*WB-1:0] w,  // PE major
    input  wire  [COPIES*SIMD*AB-1:0] a,
    output logic [        PE*SUM-1:0] sums,
    output logic [            PE-1:0] carries
);
  localparam SIGNED = (WS != 0 || AS != 0) ? 1 : 0;
  localparam MINUS =  // whether exact have a sign beside the significand
      (STYLE != 1 && STYLE != 4) && ((WE != 0 && WS != 0) || (AE != 0 && AS != 0)) ? 1 : 0;
  wire [PE*SIMD*PRODUCT-1:0] exact;
  wire [PE*SIMD-1:0] minus;
  genvar i, j, k;
  generate
    if (STYLE == 4) begin : packed_dsp
      for (i = 0; i < PE; i = i + DSP_LANES) begin : group
        localparam LANES = (PE - i < DSP_LANES) ? PE - i : DSP_LANES;
        for (j = 0; j < SIMD; j = j + 1) begin : lane
          wire [LANES*WB-1:0] weights;
          wire [LANES*PRODUCT-1:0] p;
          wire [LANES-1:0] c;
          for (k = 0; k < LANES; k = k + 1) begin : field
            assign weights[k*WB+:WB] = w[((i+k)*SIMD+j)*WB+:WB];
            assign exact[((i+k)*SIMD+j)*PRODUCT+:PRODUCT] = p[k*PRODUCT+:PRODUCT];
            assign minus[(i+k)*SIMD+j] = c[k];
          end
          packed_products #(.LANES(LANES), .WB(WB), .AB(AB), .AS(AS), .SPACING(PRODUCT)) multiply (
              .w(weights), .a(a[j*AB+:AB]), .p(p), .carries(c)
          );
        end
      end
    end else begin : separate
      for (i = 0; i < PE; i = i + 1) begin : pe
        for (j = 0; j < SIMD; j = j + 1) begin : lane
          product #(
              .STYLE(STYLE), .METHOD(METHOD), .WE(WE), .WM(WM), .WS(WS), .AE(AE), .AM(AM), .AS(AS), .INVERT(1 - LATE), .BITS(PRODUCT), .MEMORY(MEMORY)
          ) multiply (
              .w(w[(i*SIMD+j)*WB+:WB]),
              .a(a[((SHARED!=0?0:i)*SIMD+j)*AB+:AB]),
              .p(exact[(i*SIMD+j)*PRODUCT+:PRODUCT]),
              .minus(minus[i*SIMD+j])
          );
        end
      end
    end
  endgenerate

  logic [PE*SIMD*PRODUCT-1:0] products_q;
  logic [PE*SIMD-1:0] minus_q;
  always_ff @(posedge clk) begin
    if (step) begin
      products_q <= exact;
      minus_q <= minus;
    end
  end

  generate
    for (i = 0; i < PE; i = i + 1) begin : tree
      wire [SUM-1:0] sum;
      wire [SIMD*PRODUCT-1:0] x;
      for (j = 0; j < SIMD; j = j + 1) begin : sign
        localparam AT = (i * SIMD + j) * PRODUCT;
        assign x[j*PRODUCT+:PRODUCT] = products_q[AT+:PRODUCT] ^ {PRODUCT{minus_q[i*SIMD+j] & (LATE != 0 && MINUS != 0)}};
      end
      adder_tree #(.LANES(SIMD), .WIDTH(PRODUCT), .BITS(SUM), .SIGNED(SIGNED)) add (
          .x(x), .carries(minus_q[i*SIMD+:SIMD]), .s(sum)
      );
      always_ff @(posedge clk) begin
        if (step) begin
          sums[i*SUM+:SUM] <= sum;
          carries[i] <= minus_q[i*SIMD+SIMD-1];
        end
      end
    end
  endgenerate
endmodule
`default_nettype wire
