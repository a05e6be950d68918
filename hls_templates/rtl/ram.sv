// A memory with a write and a read port on one clock; reading takes a cycle. A word is never read in
// the cycle in which it is written, so no tool needs to add logic for that. BLOCK 1: block RAM; 0: RAM
// in LUTs.
`default_nettype none
module ram #(
    parameter WORDS = 16,
    parameter BITS = 8,
    parameter BLOCK = 0,
    parameter ADDRESS = (WORDS > 1) ? $clog2(WORDS) : 1
) (
    input  wire                clk,
    input  wire                write,
    input  wire  [ADDRESS-1:0] write_address,
    input  wire  [   BITS-1:0] write_data,
    input  wire                read,
    input  wire  [ADDRESS-1:0] read_address,
    output logic [   BITS-1:0] read_data
);
  generate
    if (BLOCK != 0) begin : block
      (* ram_style = "block", no_rw_check = 1 *) logic [BITS-1:0] words[0:WORDS-1];
      always_ff @(posedge clk) begin
        if (write) words[write_address] <= write_data;
        if (read) read_data <= words[read_address];
      end
    end else begin : luts
      (* ram_style = "distributed", no_rw_check = 1 *) logic [BITS-1:0] words[0:WORDS-1];
      always_ff @(posedge clk) begin
        if (write) words[write_address] <= write_data;
        if (read) read_data <= words[read_address];
      end
    end
  endgenerate
endmodule
`default_nettype wire
