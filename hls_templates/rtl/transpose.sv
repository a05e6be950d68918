// The elements of a beat in another order: ROWS rows of COLUMNS elements, row by row, become column by column.
// Combinational; wires only.
`default_nettype none
module transpose #(
    parameter ELEMENT = 4,
    parameter ROWS = 2,
    parameter COLUMNS = 2
) (
    input  wire                             clk,
    input  wire                             rst,
    input  wire                             in_valid,
    output logic                            in_ready,
    input  wire  [ROWS*COLUMNS*ELEMENT-1:0] in_data,
    output logic                            out_valid,
    input  wire                             out_ready,
    output logic [ROWS*COLUMNS*ELEMENT-1:0] out_data
);
  wire unused = clk ^ rst;
  assign in_ready = out_ready;
  assign out_valid = in_valid;
  genvar i, j;
  generate
    for (i = 0; i < ROWS; i = i + 1) begin : row
      for (j = 0; j < COLUMNS; j = j + 1) begin : column
        assign out_data[(j*ROWS+i)*ELEMENT+:ELEMENT] = in_data[(i*COLUMNS+j)*ELEMENT+:ELEMENT];
      end
    end
  endgenerate
endmodule
`default_nettype wire
