// A sliding window, a tap in a beat: for each position of a KH x KW window on an H x W image, for each of GROUPS groups
// of channels, the taps row by row, the beats of the group's channels innermost.
//
// A pixel has CF beats of BITS bits. Padding is virtual: a tap beside the image is 0 and takes neither room nor input.
// Rows are kept in a ring, so that pixels enter while taps leave; each step does both where it can.
#ifndef WINDOW_SERIAL_H
#define WINDOW_SERIAL_H

#include "ap_int.h"
#include "hls_stream.h"

template <int BITS, int H, int W, int CF, int KH, int KW, int SH, int SW, int PH, int PW, int GROUPS>
void window_serial(hls::stream<ap_uint<BITS> >& in, hls::stream<ap_uint<BITS> >& out) {
    const int OH = (H + 2 * PH - KH) / SH + 1, OW = (W + 2 * PW - KW) / SW + 1;
    const int ROWS = KH + SH < H ? KH + SH : H;  // of the ring
    const int PER_GROUP = CF / GROUPS, INPUTS = H * W * CF, OUTPUTS = OH * OW * KH * KW * CF;
    ap_uint<BITS> ring[ROWS * W * CF];
// A beat is read at the earliest three steps after it was stored: `ready` is the count of stored beats of then.
// UG1399 (v2025.2), 'pragma HLS dependence'.
#pragma HLS DEPENDENCE variable=ring inter RAW distance=3 true
    int stored = 0, later = 0, soon = 0, ready = 0, given = 0;
    int row_in = 0, column_in = 0, slot_in = 0;  // where the next beat goes: column in beats
    int oy = 0, ox = 0, group = 0, ky = 0, kx = 0, c = 0;
    int top = (H * ROWS - PH) % ROWS, slot = top;  // in the ring: of the window's first row, of the tap's row
    while (given < OUTPUTS || stored < INPUTS) {
#pragma HLS PIPELINE II=1
        const int y = oy * SH - PH + ky, x = ox * SW - PW + kx, first = oy * SH - PH > 0 ? oy * SH - PH : 0;
        const bool inside = y >= 0 && y < H && x >= 0 && x < W;
        const int column = x * CF + group * PER_GROUP + c;
        const bool gives = given < OUTPUTS && (!inside || y * W * CF + column < ready);
        const bool takes = stored < INPUTS && row_in - first < ROWS;
        if (gives) {
            out.write(inside ? ring[slot * W * CF + column] : ap_uint<BITS>(0));
            given++;
            bool carry = c == PER_GROUP - 1;
            c = carry ? 0 : c + 1;
            if (carry) {
                carry = kx == KW - 1;
                kx = carry ? 0 : kx + 1;
                if (carry) {
                    carry = ky == KH - 1;
                    ky = carry ? 0 : ky + 1;
                    slot = carry ? top : slot == ROWS - 1 ? 0 : slot + 1;
                    if (carry) {
                        carry = group == GROUPS - 1;
                        group = carry ? 0 : group + 1;
                        if (carry) {
                            carry = ox == OW - 1;
                            ox = carry ? 0 : ox + 1;
                            if (carry) {
                                oy++;
                                top = (top + SH) % ROWS;
                                slot = top;
                            }
                        }
                    }
                }
            }
        }
        ready = soon;
        soon = later;
        if (takes) {
            ring[slot_in * W * CF + column_in] = in.read();
            stored++;
            const bool full = column_in == W * CF - 1;
            column_in = full ? 0 : column_in + 1;
            if (full) {
                row_in++;
                slot_in = slot_in == ROWS - 1 ? 0 : slot_in + 1;
            }
        }
        later = stored;
    }
}

#endif
