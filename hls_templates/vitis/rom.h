// How tables of constants are stored, and how one beat holds several elements.
#ifndef ROM_H
#define ROM_H

#include "ap_int.h"

// The element of a table of numbers of BITS bits, at most 64. For synthesis it is as wide as its numbers; for simulation
// a plain integer: a compiler would run a constructor for each element of a table of ap_uint.
// `__SYNTHESIS__` is defined where Vitis HLS synthesises: UG1399, 'System Calls'.
template <int BYTES>
struct Plain {
    typedef unsigned long long type;
};
template <>
struct Plain<1> {
    typedef unsigned char type;
};
template <>
struct Plain<2> {
    typedef unsigned short type;
};

template <int BITS>
struct Rom {
#ifdef __SYNTHESIS__
    typedef ap_uint<BITS> type;
#else
    typedef typename Plain<(BITS + 7) / 8>::type type;
#endif
};

// A number in two's complement of BITS bits as COUNT parts of SIZE bits, the lowest first: a literal has at most 64.
template <int BITS>
struct Parts {
    static const int COUNT = (BITS + 63) / 64;
    static const int SIZE = (BITS + COUNT - 1) / COUNT;
    typedef typename Rom<SIZE>::type type;

    static ap_int<BITS> join(const type (&parts)[COUNT]) {
#pragma HLS INLINE
        ap_uint<COUNT * SIZE> all = 0;
        for (int i = 0; i < COUNT; i++) {
#pragma HLS UNROLL
            all.range(SIZE * i + SIZE - 1, SIZE * i) = ap_uint<SIZE>(parts[i]);
        }
        return ap_int<BITS>(all);
    }
};

// Element `i` of a beat: element 0 is in the lowest bits.
template <int BITS, int WIDTH>
ap_uint<BITS> element(const ap_uint<WIDTH>& beat, int i) {
#pragma HLS INLINE
    return beat.range(BITS * i + BITS - 1, BITS * i);
}

template <int BITS, int WIDTH>
void put(ap_uint<WIDTH>& beat, int i, const ap_uint<BITS>& value) {
#pragma HLS INLINE
    beat.range(BITS * i + BITS - 1, BITS * i) = value;
}

#endif
