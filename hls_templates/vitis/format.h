// The codes of one format as whole numbers of its smallest step, exactly: significand << shift.
//
// E: exponent bits, 0 for an integer. M: stored significand bits, of an integer all but its sign. S: a sign is stored.
// A minifloat has subnormals and no other special codes: its value is fraction << 0 where the exponent is 0, and else
// (2^M + fraction) << (exponent - 1), with its sign.
#ifndef FORMAT_H
#define FORMAT_H

#include "ap_int.h"

template <int E, int M, int S>
struct Format {
    static const int BITS = E + M + S;
    static const int SIGNIFICAND = E == 0 ? BITS + 1 - S : M + 2;  // bits, in two's complement
    static const int SHIFT = E == 0 ? 1 : E;                       // bits of a shift
    static const int FIXED = E == 0 ? SIGNIFICAND : SIGNIFICAND + (1 << SHIFT) - 2;  // bits of a value

    typedef ap_uint<BITS> code_t;
    typedef ap_int<SIGNIFICAND> significand_t;
    typedef ap_uint<SHIFT> shift_t;
    typedef ap_int<FIXED> fixed_t;

    static shift_t exponent(code_t code) {
#pragma HLS INLINE
        return E == 0 ? shift_t(0) : shift_t(code >> M);
    }

    static significand_t significand(code_t code) {
#pragma HLS INLINE
        if (E == 0) return S ? significand_t(ap_int<BITS>(code)) : significand_t(code);
        significand_t hidden = exponent(code) != 0 ? 1 << M : 0;
        significand_t magnitude = hidden + significand_t(code & code_t((1 << M) - 1));
        return S && code[BITS - 1] ? significand_t(-magnitude) : magnitude;
    }

    static shift_t shift(code_t code) {
#pragma HLS INLINE
        shift_t stored = exponent(code);
        return stored == 0 ? shift_t(0) : shift_t(stored - 1);
    }

    static fixed_t fixed(code_t code) {
#pragma HLS INLINE
        return fixed_t(significand(code)) << shift(code);
    }

    // The codes in the order of their numbers are 0, 1, 2, ..; -0 comes before 0.
    static code_t order(code_t code) {
#pragma HLS INLINE
        const code_t top = code_t(1) << (BITS - 1);
        if (!S) return code;
        if (E == 0) return code ^ top;
        return code[BITS - 1] ? code_t(~code) : code_t(code | top);
    }

    // The code with `index` codes before it: what `order` undoes.
    static code_t of_order(code_t index) {
#pragma HLS INLINE
        const code_t top = code_t(1) << (BITS - 1);
        if (!S) return index;
        if (E == 0) return index ^ top;
        return index[BITS - 1] ? code_t(index ^ top) : code_t(~index);
    }
};

#endif
