// Sliding window of a convolution or a pool: one tap's LANES channels a beat.
//
// `in`: an image of H x W pixels, row by row, CF beats a pixel, LANES channels of BITS bits a beat.
// `out`: for every position, row by row, its KH x KW window, LANES channels a beat, in the order
// group, ky, kx, beat within the group; GROUPS is 1 for an ordinary convolution, and CF where every
// channel stands alone (depthwise, pools). Strides SH, SW. PH, PW pixels of padding on each side, less
// than the kernel, are zeros that are given but not stored.
//
// The buffer is a ring of D pixels, at least a window's from its first tap to its last. Images follow
// each other without a gap, so pixels have numbers in an endless line. A tap, padding too, is at the
// number where its pixel would be; windows and taps move by constants. A pixel is free when the window
// has moved past it. Timing: a beat a cycle; it leaves no earlier than two cycles after the last beat of
// its pixel has entered, or, if it is padding, of the image's first pixel. A stall at `out` stops the
// reading side as a whole; `in_ready` is a register.
`default_nettype none
module window_serial #(
    parameter LANES = 4,
    parameter BITS = 4,
    parameter CF = 4,
    parameter GROUPS = 1,
    parameter H = 8,
    parameter W = 8,
    parameter KH = 3,
    parameter KW = 3,
    parameter SH = 1,
    parameter SW = 1,
    parameter PH = 1,
    parameter PW = 1,
    parameter D = (KH - 1) * W + KW,
    parameter BLOCK = 0  // whether the buffer is block RAM
) (
    input  wire                   clk,
    input  wire                   rst,
    input  wire                   in_valid,
    output logic                  in_ready,
    input  wire  [LANES*BITS-1:0] in_data,
    output logic                  out_valid,
    input  wire                   out_ready,
    output logic [LANES*BITS-1:0] out_data
);
  localparam OH = (H + 2 * PH - KH) / SH + 1;
  localparam OW = (W + 2 * PW - KW) / SW + 1;

  // ---- moves, in pixels ----
  localparam BEFORE = PH * W + PW;            // of the first tap of an image, before the first pixel
  localparam LINE = W - KW + 1;               // from the last tap of a kernel row to the next row
  localparam BACK = (KH - 1) * W + KW - 1;    // from the last tap to the first
  localparam NEXT_ROW = SH * W - (OW - 1) * SW;  // from window to window
  localparam NEXT_IMAGE = (H - (OH - 1) * SH) * W - (OW - 1) * SW;
  // Padding over half of the kernel lets a row or an image begin before the window: no pixel is freed twice.
  localparam FREE_Y = (H > (OH - 1) * SH) ? OH : H / SH;  // rows of windows that free pixels
  localparam LAST_ROWS = H - (OH - 1) * SH;
  localparam ROWS = (FREE_Y == OH && LAST_ROWS < SH) ? LAST_ROWS : SH;
  localparam FREE_X = (ROWS * W / SW < OW - 1) ? ROWS * W / SW : OW - 1;  // windows of a row that free SW pixels
  localparam FREE_ROW = SH * W - FREE_X * SW;
  localparam FREE_IMAGE = (FREE_Y == OH) ? LAST_ROWS * W - FREE_X * SW : (H - FREE_Y * SH) * W;

  // ---- a beat's address: a cell of the ring, and below it the beat, of a power of two, in the cell ----
  localparam CG = CF / GROUPS;
  localparam J_PART = CG & -CG;
  localparam G_PART = (J_PART == CG) ? (GROUPS & -GROUPS) : 1;
  localparam PART = J_PART * G_PART;
  localparam CELLS = CF / PART;  // of a pixel
  localparam J_CELLS = CG / J_PART;
  localparam RING = D * CELLS;

  // How far a tap, or a pixel that is freed without having been needed, is beyond the last pixel written.
  localparam AHEAD = (PH + SH) * W + KW + SW;
  localparam LEAD = $clog2((D > AHEAD) ? D : AHEAD) + 1;
  localparam ROOM = $clog2((SH * SW > 1) ? D + AHEAD : D) + 1;
  localparam CELL = (RING > 1) ? $clog2(RING) : 1;
  localparam ADDRESS = (RING * PART > 1) ? $clog2(RING * PART) : 1;
  localparam BEAT = (CF > 1) ? $clog2(CF) : 1;
  localparam J = (CG > 1) ? $clog2(CG) : 1;
  localparam G = (GROUPS > 1) ? $clog2(GROUPS) : 1;
  localparam X = (KW > 1) ? $clog2(KW) : 1;
  localparam Y = (KH > 1) ? $clog2(KH) : 1;
  localparam COLUMN = (W + 2 * PW > 1) ? $clog2(W + 2 * PW) : 1;
  localparam ROW = (H + 2 * PH > 1) ? $clog2(H + 2 * PH) : 1;
  localparam TAPS_X = (PW > 0) ? KW - 1 : 0;  // the steps of `column` in a window
  localparam TAPS_Y = (PH > 0) ? KH - 1 : 0;

  // Pixels fill the ring from its last cell down, so that a move over its end is a borrow.
  function automatic integer in_ring(input integer cells);
    in_ring = (cells % RING + RING) % RING;
  endfunction

  // ---- writing ----
  logic [BEAT-1:0] beat;  // of the pixel
  logic [CELL-1:0] write_cell;
  logic [ROOM-1:0] room;  // free pixels less one: full where it is negative
  wire last_beat = beat == BEAT'(CF - 1);
  wire end_cell = (beat & BEAT'(PART - 1)) == BEAT'(PART - 1);
  wire write = in_valid && in_ready;
  wire wrote = write && last_beat;  // a pixel
  assign in_ready = !room[ROOM-1];

  always_ff @(posedge clk) begin
    if (rst) beat <= {BEAT{1'b0}};
    else if (write) beat <= last_beat ? {BEAT{1'b0}} : beat + 1'b1;
    if (rst || (write && end_cell && write_cell == {CELL{1'b0}})) write_cell <= CELL'(RING - 1);
    else if (write && end_cell) write_cell <= write_cell - 1'b1;
  end

  // ---- reading ----
  logic [J-1:0] j;
  logic [G-1:0] g;
  logic [X-1:0] kx;
  logic [Y-1:0] ky;
  logic [COLUMN-1:0] column;  // of the tap, negative as a large number; of the window, from 0, without padding
  logic [ROW-1:0] row;
  logic [CELL-1:0] read_cell;
  logic [LEAD-1:0] lead;  // pixels written after the tap's: it is missing where this is negative
  wire last_j = j == J'(CG - 1);
  wire last_g = g == G'(GROUPS - 1);
  wire last_kx = kx == X'(KW - 1);
  wire last_ky = ky == Y'(KH - 1);
  wire last_x = column == COLUMN'((OW - 1) * SW - PW + TAPS_X);
  wire last_y = row == ROW'((OH - 1) * SH - PH + TAPS_Y);
  wire outside_x, outside_y, keep_x, keep_y;
  wire padding = outside_x || outside_y;
  wire step = !out_valid || out_ready;
  wire early;  // the image has not begun
  wire move = step && (padding ? !early : !lead[LEAD-1]);

  logic [CELL-1:0] forward;  // in cells
  logic [LEAD-1:0] back;     // in pixels
  logic [ROOM-1:0] freed;    // less one
  logic [COLUMN-1:0] column_move;
  logic [ROW-1:0] row_move;
  always_comb begin
    forward = (J_CELLS > 1 && (j & J'(J_PART - 1)) == J'(J_PART - 1)) ? CELL'(1) : {CELL{1'b0}};
    back = {LEAD{1'b0}};
    freed = {ROOM{1'b1}};
    column_move = {COLUMN{1'b0}};
    row_move = {ROW{1'b0}};
    if (last_j) begin
      if (!last_kx) begin
        forward = CELL'(in_ring(CELLS - J_CELLS + 1));
        back = LEAD'(-1);
        column_move = COLUMN'((PW > 0) ? 1 : 0);
      end else if (!last_ky) begin
        forward = CELL'(in_ring(LINE * CELLS - J_CELLS + 1));
        back = LEAD'(-LINE);
        column_move = COLUMN'(-TAPS_X);
        row_move = ROW'((PH > 0) ? 1 : 0);
      end else if (!last_g) begin
        forward = (G_PART > 1 && (g & G'(G_PART - 1)) != G'(G_PART - 1)) ? CELL'(in_ring(-BACK * CELLS))
            : CELL'(in_ring(1 - BACK * CELLS));
        back = LEAD'(BACK);
        column_move = COLUMN'(-TAPS_X);
        row_move = ROW'(-TAPS_Y);
      end else if (!last_x) begin
        forward = CELL'(in_ring((SW - BACK - 1) * CELLS + 1));
        back = LEAD'(BACK - SW);
        freed = (keep_x || keep_y) ? ROOM'(-1) : ROOM'(SW - 1);
        column_move = COLUMN'(SW - TAPS_X);
        row_move = ROW'(-TAPS_Y);
      end else if (!last_y) begin
        forward = CELL'(in_ring((NEXT_ROW - BACK - 1) * CELLS + 1));
        back = LEAD'(BACK - NEXT_ROW);
        freed = keep_y ? ROOM'(-1) : ROOM'(FREE_ROW - 1);
        column_move = COLUMN'(-(OW - 1) * SW - TAPS_X);
        row_move = ROW'(SH - TAPS_Y);
      end else begin
        forward = CELL'(in_ring((NEXT_IMAGE - BACK - 1) * CELLS + 1));
        back = LEAD'(BACK - NEXT_IMAGE);
        freed = ROOM'(FREE_IMAGE - 1);
        column_move = COLUMN'(-(OW - 1) * SW - TAPS_X);
        row_move = ROW'(-(OH - 1) * SH - TAPS_Y);
      end
    end
  end

  wire borrow;
  wire [CELL-1:0] moved;
  assign {borrow, moved} = {1'b0, read_cell} - {1'b0, forward};

  wire [LEAD-1:0] next_lead;
  wire [ROOM-1:0] next_room;
  adder #(.BITS(LEAD)) add_lead (
      .a(lead), .b(move ? back : {LEAD{1'b0}}), .invert(1'b0), .carry(wrote), .s(next_lead)
  );
  adder #(.BITS(ROOM)) add_room (
      .a(room), .b(move ? freed : {ROOM{1'b1}}), .invert(1'b0), .carry(!wrote), .s(next_room)
  );

  always_ff @(posedge clk) begin
    if (rst) begin
      lead <= LEAD'(BEFORE - 1);
      room <= ROOM'(D - BEFORE - 1);
    end else begin
      lead <= next_lead;
      room <= next_room;
    end
    if (rst) begin
      j <= {J{1'b0}};
      kx <= {X{1'b0}};
      ky <= {Y{1'b0}};
      g <= {G{1'b0}};
      column <= COLUMN'(-PW);
      row <= ROW'(-PH);
      read_cell <= CELL'(in_ring(BEFORE * CELLS - 1));
    end else if (move) begin
      j <= last_j ? {J{1'b0}} : j + 1'b1;
      if (last_j) kx <= last_kx ? {X{1'b0}} : kx + 1'b1;
      if (last_j && last_kx) ky <= last_ky ? {Y{1'b0}} : ky + 1'b1;
      if (last_j && last_kx && last_ky) g <= last_g ? {G{1'b0}} : g + 1'b1;
      column <= column + column_move;
      row <= row + row_move;
      read_cell <= moved + (borrow ? CELL'(RING) : {CELL{1'b0}});
    end
    if (rst) out_valid <= 1'b0;
    else if (step) out_valid <= move;
  end

  generate
    if (BEFORE > 0) begin : pad
      logic start;  // before the first beat of an image
      assign early = start && (lead[LEAD-1] || lead < LEAD'(BEFORE));
      always_ff @(posedge clk) begin
        if (rst) start <= 1'b1;
        else if (move) start <= last_j && last_kx && last_ky && last_g && last_x && last_y;
      end
    end else begin : no_pad
      assign early = 1'b0;
    end
    if (PW > 0) begin : pad_x
      assign outside_x = column >= COLUMN'(W);
    end else begin : no_pad_x
      assign outside_x = 1'b0;
    end
    if (PH > 0) begin : pad_y
      assign outside_y = row >= ROW'(H);
    end else begin : no_pad_y
      assign outside_y = 1'b0;
    end
    if (FREE_X < OW - 1) begin : overlap_x
      assign keep_x = column >= COLUMN'(FREE_X * SW - PW + TAPS_X);
    end else begin : no_overlap_x
      assign keep_x = 1'b0;
    end
    if (FREE_Y < OH) begin : overlap_y
      assign keep_y = row >= ROW'(FREE_Y * SH - PH + TAPS_Y);
    end else begin : no_overlap_y
      assign keep_y = 1'b0;
    end
  endgenerate

  wire [ADDRESS-1:0] write_address, read_address;
  generate
    if (PART == 1) begin : cells
      assign write_address = write_cell;
      assign read_address = read_cell;
    end else begin : parts
      wire [$clog2(PART)-1:0] part;
      if (G_PART == 1) begin : of_j
        assign part = j[$clog2(PART)-1:0];
      end else if (J_PART == 1) begin : of_g
        assign part = g[$clog2(PART)-1:0];
      end else begin : of_both
        assign part = {g[$clog2(G_PART)-1:0], j};
      end
      if (RING == 1) begin : one_cell
        assign write_address = beat[$clog2(PART)-1:0];
        assign read_address = part;
      end else begin : several
        assign write_address = {write_cell, beat[$clog2(PART)-1:0]};
        assign read_address = {read_cell, part};
      end
    end
  endgenerate

  window_ram #(.WORDS(RING * PART), .BITS(LANES * BITS), .BLOCK(BLOCK)) pixels (
      .clk(clk), .write(write), .write_address(write_address), .write_data(in_data),
      .read(step), .clear(padding), .read_address(read_address), .read_data(out_data)
  );
endmodule
`default_nettype wire
