// A function of one code: each of LANES codes of IN bits becomes the word of OUT bits that
// `<MEMORY>codes.hex` has for it.
//
// One beat a cycle; a beat appears one cycle after it was taken.
`default_nettype none
module code_table #(
    parameter LANES = 1,
    parameter IN = 8,
    parameter OUT = 8,
    parameter BLOCK = 0,  // whether the tables, one a lane, are in block RAM
    parameter MEMORY = "unit_"
) (
    input  wire                  clk,
    input  wire                  rst,
    input  wire                  in_valid,
    output logic                 in_ready,
    input  wire  [ LANES*IN-1:0] in_data,
    output logic                 out_valid,
    input  wire                  out_ready,
    output logic [LANES*OUT-1:0] out_data
);
  assign in_ready = !out_valid || out_ready;
  always_ff @(posedge clk) begin
    if (rst) out_valid <= 1'b0;
    else if (in_ready) out_valid <= in_valid;
  end
  genvar i;
  generate
    for (i = 0; i < LANES; i = i + 1) begin : lane
      rom #(.FILE({MEMORY, "codes.hex"}), .WORDS(1 << IN), .BITS(OUT), .BLOCK(BLOCK)) codes (
          .clk(clk), .read(in_ready), .address(in_data[i*IN+:IN]), .data(out_data[i*OUT+:OUT])
      );
    end
  endgenerate
endmodule
`default_nettype wire
