// Exact sums of kept scores.
#pragma once

#include "graph.hpp"

namespace raiw {

constexpr std::size_t kExponents = 2048;

// Adds modulo 2^64: a sum that starts anywhere never overflows.
inline void add_wrapping(std::int64_t& sum, std::int64_t value) {
    sum = static_cast<std::int64_t>(static_cast<Word>(sum) + static_cast<Word>(value));
}

// Adds the 53-bit mantissa of a number to one pair of sums for each binary exponent: sums[e] of its
// low 26 bits, sums[kExponents + e] of the rest. No addition rounds, so their order changes nothing.
// The last pair counts what is not finite.
inline void add_exactly(double value, std::int64_t* sums) {
    std::uint64_t bits;
    __builtin_memcpy(&bits, &value, sizeof bits);
    const std::size_t exponent = bits >> 52 & 0x7FF;
    const std::uint64_t implied = std::uint64_t{exponent > 0} << 52;
    const std::uint64_t mantissa = (bits & 0xFFFFFFFFFFFFFu) | implied;
    const std::int64_t sign = bits >> 63 ? -1 : 1;
    add_wrapping(sums[exponent], sign * static_cast<std::int64_t>(mantissa & 0x3FFFFFF));
    add_wrapping(sums[kExponents + exponent], sign * static_cast<std::int64_t>(mantissa >> 26));
}

// Calls visit(u, v, score) for the edges of a graph, row by row; the scores of a row are fetched
// while the row before it is worked on.
template <class T, class Visit>
void each_kept(Scores<T> scores, Bits graph, Visit visit) {
    std::vector<Vertex> row, next;
    const auto fetch = [&](Vertex u) {
        next.clear();
        for (std::size_t w = 0; 8 * w < graph.stride; ++w)
            each_bit(load_word(graph.row(u), graph.stride, w), static_cast<Vertex>(64 * w),
                     [&](Vertex v) {
                         scores.prefetch(u, v);
                         next.push_back(v);
                     });
    };
    fetch(0);
    for (Vertex u = 0; u < graph.rows; ++u) {
        row.swap(next);
        if (u + 1 < graph.rows) fetch(u + 1);
        for (const Vertex v : row) visit(u, v, scores(u, v));
    }
}

}  // namespace raiw
