// The blocks of a transposable pattern that are solved side by side.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "foremost.hpp"
#include "graph.hpp"
#include "small_patterns.hpp"

namespace raiw {

constexpr int kTogether = 16;  // blocks side by side, one in each lane

inline double power_of_two(int exponent) {
    const std::uint64_t bits = static_cast<std::uint64_t>(exponent + 1023) << 52;
    double power;
    __builtin_memcpy(&power, &bits, sizeof power);
    return power;
}

// Two powers of two whose product brings the largest score of a block to 40 bits.
inline void find_scale(double largest, double* scale) {
    constexpr int kBits = 40, kSmallest = 64;
    const bool small = largest < 0x1p-1000;
    if (small) largest *= power_of_two(kSmallest);  // now its exponent is not the least
    std::uint64_t bits;
    __builtin_memcpy(&bits, &largest, sizeof bits);
    const int shift = kBits + 1022 + (small ? kSmallest : 0) - static_cast<int>(bits >> 52);
    scale[0] = power_of_two(shift / 2);
    scale[1] = power_of_two(shift - shift / 2);
}

// Adds edges to a row, from a column on.
inline void write_bits(Bits graph, Vertex row, Vertex first, Word bits) {
    std::uint8_t* to = graph.row(row) + (first >> 3);
    for (Word word = bits << (first & 7); word; word >>= 8) *to++ |= static_cast<std::uint8_t>(word);
}
inline void write_block(Bits graph, Vertex row, Vertex first, int m, const Mask* kept) {
    for (int i = 0; i < m; ++i) write_bits(graph, row + static_cast<Vertex>(i), first, kept[i]);
}

struct Blocks {
    static constexpr double kForbidden = -0x1p46;  // below minus any closed walk over other cells
    static constexpr float kFloor = -0x1p42f;      // the same for prices, which need not be exact

    int m, n;
    double *cells, *line, *scales;
    float *near, *row_prices, *column_prices;

    Blocks(int side, int m, int n)
        : m(m), n(n),
          doubles_(static_cast<std::size_t>(kTogether * (side * side + side + 2)), -HUGE_VAL),
          floats_(static_cast<std::size_t>(kTogether * (side * side + 2 * side)), -HUGE_VALF) {
        cells = doubles_.data();
        line = cells + kTogether * side * side;
        scales = line + kTogether * side;
        near = floats_.data();
        row_prices = near + kTogether * side * side;
        column_prices = row_prices + kTogether * side;
    }
    Blocks(const Blocks&) = delete;
    Blocks& operator=(const Blocks&) = delete;

private:
    std::vector<double> doubles_;
    std::vector<float> floats_;
};

}  // namespace raiw
