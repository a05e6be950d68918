// A memory whose WORDS lie in the file FILE, one in hexadecimal a line. Reading takes a cycle.
// BLOCK 1: block RAM; 0: logic, a LUT for each 2**inputs words of a bit.
`default_nettype none
module rom #(
    parameter FILE = "rom.hex",
    parameter WORDS = 16,
    parameter BITS = 8,
    parameter BLOCK = 0,
    parameter ADDRESS = (WORDS > 1) ? $clog2(WORDS) : 1
) (
    input  wire                clk,
    input  wire                read,
    input  wire  [ADDRESS-1:0] address,
    output logic [   BITS-1:0] data
);
  generate
    if (BLOCK != 0) begin : block
      (* rom_style = "block", ram_style = "block" *) logic [BITS-1:0] words[0:WORDS-1];
      initial $readmemh(FILE, words);
      always_ff @(posedge clk) if (read) data <= words[address];
    end else begin : luts
      (* rom_style = "logic", ram_style = "logic" *) logic [BITS-1:0] words[0:WORDS-1];
      initial $readmemh(FILE, words);
      always_ff @(posedge clk) if (read) data <= words[address];
    end
  endgenerate
endmodule
`default_nettype wire
