// The exact product of two codes as fixed point, in units of the product of their smallest steps:
// product = p + minus, with p in two's complement. `minus` is added by a carry further on.
//
// STYLE 0: significands are multiplied by rows on carry chains, the product is shifted by the sum
//          of the exponents and inverted if the signs differ (Kulisch); integers are multiplied as
//          they are, and a sign stays in an integer's significand.
// STYLE 1: both codes are decoded to two's complement, then multiplied as integers.
// STYLE 2: a table of all products, for the smallest formats: `<MEMORY>products.hex`, BITS wide, at
//          address {w, a} without the signs of minifloats, which invert as in style 0.
// STYLE 3: the significands are multiplied by `*`, for a DSP block; the rest as style 0.
// Combinational.
`default_nettype none
module product #(
    parameter STYLE = 0,
    parameter METHOD = 1,  // of `multiplier`
    parameter WE = 0,  // exponent and mantissa bits of the weight, and whether it has a sign
    parameter WM = 3,
    parameter WS = 1,
    parameter AE = 0,  // of the activation
    parameter AM = 3,
    parameter AS = 1,
    parameter INVERT = 1,  // 0 leaves the inversion to whoever reads p
    parameter BITS = 8,  // of p: holds every product of the values in use
    parameter MEMORY = "unit_",
    parameter WB = WS + WE + WM,
    parameter AB = AS + AE + AM
) (
    input  wire  [  WB-1:0] w,
    input  wire  [  AB-1:0] a,
    output logic [BITS-1:0] p,
    output logic            minus
);
  generate
    if (STYLE == 2) begin : table_of_products
      localparam MW = (WE == 0) ? WB : WE + WM;
      localparam MA = (AE == 0) ? AB : AE + AM;
      (* rom_style = "logic", ram_style = "logic" *) logic [BITS-1:0] products[0:(1<<(MW+MA))-1];
      initial $readmemh({MEMORY, "products.hex"}, products);
      assign minus = ((WE != 0 && WS != 0) & w[WB-1]) ^ ((AE != 0 && AS != 0) & a[AB-1]);
      assign p = products[{w[MW-1:0], a[MA-1:0]}] ^ {BITS{minus & (INVERT != 0)}};
    end else if (STYLE == 1) begin : decoded
      localparam DW = (WE == 0) ? WB : WS + WM + (1 << WE) - 1;
      localparam DA = (AE == 0) ? AB : AS + AM + (1 << AE) - 1;
      wire [DW-1:0] dw;
      wire [DA-1:0] da;
      wire [DW+DA-1:0] full;
      fixed_point #(.E(WE), .M(WM), .SIGNED(WS)) decode_w (.code(w), .value(dw));
      fixed_point #(.E(AE), .M(AM), .SIGNED(AS)) decode_a (.code(a), .value(da));
      multiplier #(
          .A(DW), .B(DA), .A_SIGNED(WS), .B_SIGNED(AS), .METHOD(METHOD)
      ) multiply (.a(dw), .b(da), .p(full));
      resize #(.FROM(DW + DA), .TO(BITS), .SIGNED((WS != 0 || AS != 0) ? 1 : 0)) cut (.x(full), .y(p));
      assign minus = 1'b0;
    end else begin : shifted
      localparam GW = (WE == 0) ? WB : WM + 1;
      localparam GA = (AE == 0) ? AB : AM + 1;
      localparam HW = (WE == 0) ? 1 : WE;
      localparam HA = (AE == 0) ? 1 : AE;
      localparam W_SIGNED = (WE == 0) ? WS : 0;  // signs that stay in the significand
      localparam A_SIGNED = (AE == 0) ? AS : 0;
      wire sign_w, sign_a;
      wire [GW-1:0] gw;
      wire [GA-1:0] ga;
      wire [HW-1:0] hw;
      wire [HA-1:0] ha;
      wire [GW+GA-1:0] full;
      wire [BITS-1:0] whole;
      significand #(.E(WE), .M(WM), .SIGNED(WS)) split_w (.code(w), .sign(sign_w), .magnitude(gw), .shift(hw));
      significand #(.E(AE), .M(AM), .SIGNED(AS)) split_a (.code(a), .sign(sign_a), .magnitude(ga), .shift(ha));
      multiplier #(
          .A(GW), .B(GA), .A_SIGNED(W_SIGNED), .B_SIGNED(A_SIGNED), .METHOD((STYLE == 3) ? 0 : METHOD)
      ) multiply (.a(gw), .b(ga), .p(full));
      resize #(
          .FROM(GW + GA), .TO(BITS), .SIGNED((W_SIGNED != 0 || A_SIGNED != 0) ? 1 : 0)
      ) extend (.x(full), .y(whole));
      assign minus = sign_w ^ sign_a;
      if (WE > 1 && AE > 1) begin : both
        localparam H = (WE > AE ? WE : AE) + 1;
        wire [H-1:0] h;
        ripple_adder #(.BITS(H)) exponents (.a({{H - HW{1'b0}}, hw}), .b({{H - HA{1'b0}}, ha}), .s(h));
        assign p = (whole << h) ^ {BITS{minus & (INVERT != 0)}};
      end else if (WE > 1) begin : by_weight
        wire unused = ha;
        assign p = (whole << hw) ^ {BITS{minus & (INVERT != 0)}};
      end else if (AE > 1) begin : by_activation
        wire unused = hw;
        assign p = (whole << ha) ^ {BITS{minus & (INVERT != 0)}};
      end else begin : none
        wire unused = hw ^ ha;
        assign p = whole ^ {BITS{minus & (INVERT != 0)}};
      end
    end
  endgenerate
endmodule
`default_nettype wire
