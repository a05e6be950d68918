// Every beat for two readers.
#ifndef BRANCH_H
#define BRANCH_H

#include "ap_int.h"
#include "hls_stream.h"

template <int BITS, int BEATS>
void branch(hls::stream<ap_uint<BITS> >& in, hls::stream<ap_uint<BITS> >& out0, hls::stream<ap_uint<BITS> >& out1) {
    for (int i = 0; i < BEATS; i++) {
#pragma HLS PIPELINE II=1
        ap_uint<BITS> beat = in.read();
        out0.write(beat);
        out1.write(beat);
    }
}

#endif
