// Quantises float32 numbers to any integer or minifloat grid and back, in one pass, with the roundings of Brevitas.
//
// Formats are arguments, so that one binary serves all of them. Nothing may be contracted or reordered by the compiler
// (-ffp-contract=off, no -ffast-math): the results are bit for bit those of the operators that Brevitas calls.

#include <cmath>
#include <cstdint>
#include <cstring>

#if defined(__x86_64__) && defined(__gnu_linux__)
// The vector width is chosen when the library is loaded, so that one build serves every x86-64 machine.
#define EVERY_CPU __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define EVERY_CPU
#endif

namespace {

inline float between(float x, float low, float high) {  // keeps NaN, as torch.where does
    x = x > high ? high : x;
    return x < low ? low : x;
}

inline int32_t bits_of(float x) {
    int32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    return bits;
}

inline float power_of_two(int32_t exponent) {  // -126 to 127
    const int32_t bits = (exponent + 127) << 23;
    float x;
    std::memcpy(&x, &bits, sizeof x);
    return x;
}

}  // namespace

extern "C" {

// y = scale * clamp(round(clamp(x, floor, ceiling) / scale), low, high), ties to even. y may be x.
EVERY_CPU void quantize_integer(
    const float* x, float* y, int64_t count, float scale, float low, float high, float floor, float ceiling) {
    for (int64_t i = 0; i < count; ++i) {
        y[i] = between(std::rint(between(x[i], floor, ceiling) / scale), low, high) * scale;
    }
}

// The same on a grid whose step is 2**(exponent of x / scale - mantissa), at least 2**smallest.
EVERY_CPU void quantize_minifloat(
    const float* x, float* y, int64_t count, float scale, int32_t mantissa, int32_t smallest, float low, float high,
    float floor, float ceiling) {
    for (int64_t i = 0; i < count; ++i) {
        const float scaled = between(x[i], floor, ceiling) / scale;
        const int32_t stored = (bits_of(scaled) >> 23) & 255;
        const int32_t exponent = stored - 127 - mantissa;
        const int32_t least = exponent > smallest ? exponent : smallest;
        const int32_t step = least < 126 ? least : 126;  // larger numbers are beyond every format anyway
        const float rounded = std::rint(scaled * power_of_two(-step)) * power_of_two(step);
        y[i] = stored == 255 ? scaled - scaled : between(rounded, low, high) * scale;  // infinity becomes NaN, as there
    }
}
}
