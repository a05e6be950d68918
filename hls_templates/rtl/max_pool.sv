// The largest of TAPS codes in each of LANES lanes: TAPS beats in, one beat out.
//
// Codes are compared as they are: in two's complement, or unsigned, or as sign and magnitude, whose
// magnitude is inverted if the sign is set. One beat a cycle; a maximum appears one cycle after its last tap.
`default_nettype none
module max_pool #(
    parameter LANES = 1,
    parameter TAPS = 4,
    parameter AE = 0,
    parameter AM = 7,
    parameter AS = 1,
    parameter AB = AS + AE + AM
) (
    input  wire                 clk,
    input  wire                 rst,
    input  wire                 in_valid,
    output logic                in_ready,
    input  wire  [LANES*AB-1:0] in_data,
    output logic                out_valid,
    input  wire                 out_ready,
    output logic [LANES*AB-1:0] out_data
);
  wire step = !out_valid || out_ready;
  wire take = step && in_valid;
  wire first, last;
  assign in_ready = step;
  counter #(.STATES(TAPS)) taps (.clk(clk), .rst(rst), .step(take), .first(first), .last(last));
  always_ff @(posedge clk) begin
    if (rst) out_valid <= 1'b0;
    else if (step) out_valid <= in_valid && last;
  end
  genvar i;
  generate
    for (i = 0; i < LANES; i = i + 1) begin : lane
      logic [AB-1:0] best;
      wire [AB-1:0] key;
      wire larger;
      if (AE != 0 && AS != 0) begin : sign_magnitude
        assign key = in_data[i*AB+:AB] ^ {1'b0, {AB - 1{in_data[i*AB+AB-1]}}};
        assign out_data[i*AB+:AB] = best ^ {1'b0, {AB - 1{best[AB-1]}}};
      end else begin : plain
        assign key = in_data[i*AB+:AB];
        assign out_data[i*AB+:AB] = best;
      end
      if (AS != 0) begin : with_sign
        assign larger = $signed(key) > $signed(best);
      end else begin : without_sign
        assign larger = key > best;
      end
      always_ff @(posedge clk) if (take && (first || larger)) best <= key;
    end
  endgenerate
endmodule
`default_nettype wire
