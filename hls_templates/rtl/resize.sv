// A number with fewer bits, which must hold it, or with more. Combinational; wires only.
`default_nettype none
module resize #(
    parameter FROM = 8,
    parameter TO = 8,
    parameter SIGNED = 1
) (
    input  wire  [FROM-1:0] x,
    output logic [  TO-1:0] y
);
  generate
    if (TO > FROM) begin : wider
      assign y = {{TO - FROM{(SIGNED != 0) & x[FROM-1]}}, x};
    end else if (TO == FROM) begin : same
      assign y = x;
    end else begin : narrower
      wire [FROM-TO-1:0] unused = x[FROM-1:TO];
      assign y = x[TO-1:0];
    end
  endgenerate
endmodule
`default_nettype wire
