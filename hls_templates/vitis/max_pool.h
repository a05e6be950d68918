// The code of the largest of TAPS numbers that come one after the other, in each of LANES lanes; POOLS times.
#ifndef MAX_POOL_H
#define MAX_POOL_H

#include "format.h"
#include "hls_stream.h"
#include "rom.h"

template <class A, int LANES, int TAPS, int POOLS>
void max_pool(hls::stream<ap_uint<LANES * A::BITS> >& in, hls::stream<ap_uint<LANES * A::BITS> >& out) {
    ap_uint<A::BITS> most[LANES];  // by their order
#pragma HLS ARRAY_PARTITION variable=most complete dim=1
    int tap = 0;
    for (int i = 0; i < POOLS * TAPS; i++) {
#pragma HLS PIPELINE II=1
        ap_uint<LANES * A::BITS> beat = in.read(), result = 0;
        for (int lane = 0; lane < LANES; lane++) {
#pragma HLS UNROLL
            ap_uint<A::BITS> own = A::order(element<A::BITS>(beat, lane));
            if (tap == 0 || own > most[lane]) most[lane] = own;
            put<A::BITS>(result, lane, A::of_order(most[lane]));
        }
        if (tap == TAPS - 1) out.write(result);
        tap = tap == TAPS - 1 ? 0 : tap + 1;
    }
}

#endif
