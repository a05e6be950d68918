// Beats of IN elements as beats of OUT elements, in the same order; one of the numbers divides the other.
#ifndef WIDTH_H
#define WIDTH_H

#include "hls_stream.h"
#include "rom.h"

template <int ELEMENT, int IN, int OUT, int ELEMENTS>
void width(hls::stream<ap_uint<IN * ELEMENT> >& in, hls::stream<ap_uint<OUT * ELEMENT> >& out) {
    const int PARTS = IN > OUT ? IN / OUT : OUT / IN, SMALL = (IN > OUT ? OUT : IN) * ELEMENT;
    ap_uint<PARTS * SMALL> whole = 0;
    int part = 0;
    for (int i = 0; i < ELEMENTS * ELEMENT / SMALL; i++) {
#pragma HLS PIPELINE II=1
        if (IN > OUT) {
            if (part == 0) whole = in.read();
            out.write(ap_uint<OUT * ELEMENT>(whole));
            whole >>= SMALL;
        } else {
            whole >>= SMALL;
            put<SMALL>(whole, PARTS - 1, ap_uint<SMALL>(in.read()));
            if (part == PARTS - 1) out.write(ap_uint<OUT * ELEMENT>(whole));
        }
        part = part == PARTS - 1 ? 0 : part + 1;
    }
}

#endif
