// Sums to codes by a binary search: a comparison for each bit of a code, each with a table of its own.
//
// LANES sums of ACC bits in a beat. TABLE::at(step, lane, word, node) is the threshold, of T bits, at a node of the
// search tree; there is one between every two codes of the format, so that the leaf is the place of the code in their
// order. A lane has WORDS trees, used in turn.
#ifndef THRESHOLD_SEARCH_H
#define THRESHOLD_SEARCH_H

#include "format.h"
#include "hls_stream.h"
#include "rom.h"

template <int LANES, int WORDS, int ACC, class OUT, class TABLE, int BEATS>
void threshold_search(hls::stream<ap_uint<LANES * ACC> >& in, hls::stream<ap_uint<LANES * OUT::BITS> >& out) {
    int word = 0;
    for (int i = 0; i < BEATS; i++) {
#pragma HLS PIPELINE II=1
        ap_uint<LANES * ACC> sums = in.read();
        ap_uint<LANES * OUT::BITS> result = 0;
        for (int lane = 0; lane < LANES; lane++) {
#pragma HLS UNROLL
            ap_int<ACC> sum = ap_int<ACC>(element<ACC>(sums, lane));
            ap_uint<OUT::BITS> node = 0;
            for (int step = 0; step < OUT::BITS; step++) {
#pragma HLS UNROLL
                const bool reached = sum >= TABLE::at(step, lane, word, node);
                node = (node << 1) | ap_uint<1>(reached);
            }
            put<OUT::BITS>(result, lane, OUT::of_order(node));
        }
        out.write(result);
        word = word == WORDS - 1 ? 0 : word + 1;
    }
}

#endif
