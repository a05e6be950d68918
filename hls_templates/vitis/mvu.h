// A matrix-vector unit: ROWS sums of DOT exact products for each of GROUPS vectors at each of VECTORS positions.
//
// It works on PE sums and SIMD terms of each in a cycle. SHARED: the PEs read the same activations, which are kept for
// the rows to come; otherwise (depthwise) each beat has SIMD terms for each of PE rows, the rows of a term side by side.
// Weights are in the order of their use. The sums are Kulisch accumulators: ACC bits hold every one, nothing is rounded.
#ifndef MVU_H
#define MVU_H

#include "hls_stream.h"
#include "product.h"
#include "rom.h"

template <class W, class A, int ROWS, int DOT, int PE, int SIMD, int GROUPS, int SHARED, int VECTORS, int PRODUCT,
          int ACC>
void mvu(hls::stream<ap_uint<(SHARED ? 1 : PE) * SIMD * A::BITS> >& in, hls::stream<ap_uint<PE * ACC> >& out,
         const typename Rom<W::BITS>::type (&weights)[GROUPS * (ROWS / PE) * (DOT / SIMD)][PE][SIMD]) {
#pragma HLS ARRAY_RESHAPE variable=weights complete dim=3
#pragma HLS ARRAY_RESHAPE variable=weights complete dim=2
    const int FOLDS = ROWS / PE, BEATS = DOT / SIMD, WORDS = GROUPS * FOLDS * BEATS;
    typedef ap_uint<(SHARED ? 1 : PE) * SIMD * A::BITS> beat_t;
    beat_t kept[BEATS];
    ap_int<ACC> sums[PE];
#pragma HLS ARRAY_PARTITION variable=sums complete dim=1
    int word = 0, fold = 0, beat = 0;
    for (int i = 0; i < VECTORS * WORDS; i++) {
#pragma HLS PIPELINE II=1
        beat_t terms;
        if (!SHARED || fold == 0) {
            terms = in.read();
            kept[beat] = terms;
        } else {
            terms = kept[beat];
        }
        ap_uint<A::BITS> codes[(SHARED ? 1 : PE) * SIMD];
#pragma HLS ARRAY_PARTITION variable=codes complete dim=1
        for (int term = 0; term < (SHARED ? 1 : PE) * SIMD; term++) {
#pragma HLS UNROLL
            codes[term] = element<A::BITS>(terms, term);
        }
        ap_uint<PE * ACC> result = 0;
        for (int pe = 0; pe < PE; pe++) {
#pragma HLS UNROLL
            ap_int<ACC> sum = beat == 0 ? ap_int<ACC>(0) : sums[pe];
            for (int simd = 0; simd < SIMD; simd++) {
#pragma HLS UNROLL
                const int term = SHARED ? simd : simd * PE + pe;
                sum += product<W, A, PRODUCT>(typename W::code_t(weights[word][pe][simd]), codes[term]);
            }
            sums[pe] = sum;
            put<ACC>(result, pe, ap_uint<ACC>(sum));
        }
        if (beat == BEATS - 1) out.write(result);
        word = word == WORDS - 1 ? 0 : word + 1;
        if (beat == BEATS - 1) fold = fold == FOLDS - 1 ? 0 : fold + 1;
        beat = beat == BEATS - 1 ? 0 : beat + 1;
    }
}

#endif
