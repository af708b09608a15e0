// The loops that read whole rows, in the best version this processor runs. Every version gives the
// same bits.
#pragma once

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <algorithm>

#include "blocks.hpp"
#include "graph.hpp"

namespace raiw {

// Bit-sliced counters: plane k holds bit k of the counter of every column.
constexpr unsigned kPlanes = 8;
constexpr unsigned kCountedTogether = 8;  // rows
constexpr unsigned kPlanesHold = (1u << kPlanes) / kCountedTogether - 1;  // so many times

constexpr unsigned kBlocks = 64;  // of Philox, mixed side by side
constexpr unsigned kLanes = 8;  // partial sums, the same in every version

// Numbers that round others to whole multiples of two units when added and subtracted again; and what
// no number may reach.
struct Units {
    double coarse, fine, most;
};

}  // namespace raiw

#define RAIW_ISA baseline
namespace raiw {
#include "vectors.inc"
#include "bits.inc"
#include "rows.inc"
#include "line_prices.inc"
#include "blocks.inc"
}
#undef RAIW_ISA

#if defined(__x86_64__)
#define RAIW_ISA avx2
#define RAIW_AVX2
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,popcnt,bmi,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,popcnt,bmi,f16c")
#endif
namespace raiw {
#include "vectors.inc"
#include "bits.inc"
#include "rows.inc"
#include "line_prices.inc"
#include "blocks.inc"
}
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#undef RAIW_AVX2
#undef RAIW_ISA

#define RAIW_ISA avx512
#define RAIW_AVX512
#if defined(__clang__)
#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,popcnt,bmi,f16c"))), \
    apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,popcnt,bmi,f16c")
#endif
namespace raiw {
#include "vectors.inc"
#include "bits.inc"
#include "rows.inc"
#include "line_prices.inc"
#include "blocks.inc"
}
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#undef RAIW_AVX512
#undef RAIW_ISA
#endif

namespace raiw {

enum class Isa { baseline, avx2, avx512 };

// RAIW_PORTABLE and RAIW_NO_AVX512 are defined to test the versions of other machines.
inline Isa find_isa() {
#if defined(__x86_64__) && !defined(RAIW_PORTABLE)
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
                      __builtin_cpu_supports("popcnt") && __builtin_cpu_supports("f16c");
    if (!avx2) return Isa::baseline;
#if !defined(RAIW_NO_AVX512)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return Isa::avx512;
#endif
    return Isa::avx2;
#else
    return Isa::baseline;
#endif
}

inline const Isa kIsa = find_isa();

#if defined(__x86_64__)
#define RAIW_BEST(...)                                     \
    if (kIsa == Isa::avx512) return avx512::__VA_ARGS__;   \
    if (kIsa == Isa::avx2) return avx2::__VA_ARGS__;       \
    return baseline::__VA_ARGS__
#else
#define RAIW_BEST(...) return baseline::__VA_ARGS__
#endif

inline void widen(const std::uint8_t* from, std::size_t n, Stored stored, float* to) {
    RAIW_BEST(widen(from, n, stored, to));
}

// Tells of every cell of a row, as bits, whether it is at least `high`, or only at least `low`; returns
// how many are the former.
template <class T>
inline std::int64_t split_row(const T* row, std::size_t n, T high, T low, Word* upper, Word* lower) {
    RAIW_BEST(split(row, n, high, low, upper, lower));
}

// Writes the columns of those alive cells of a row that are at least `low` and less than `done`, and
// kSlack more; returns how many there are. Begins to fetch the row that is `next` in memory.
template <class T>
inline std::size_t find_within(const T* row, std::size_t n, T low, T done, const Word* alive,
                               Vertex* columns, const std::uint8_t* next, std::size_t cell_bytes) {
    if (done < std::numeric_limits<T>::infinity()) {
        RAIW_BEST(find_within<T, true>(row, n, low, done, alive, columns, next, cell_bytes));
    }
    RAIW_BEST(find_within<T, false>(row, n, low, done, alive, columns, next, cell_bytes));
}

inline std::int64_t count_bits(const Word* row, std::size_t words) {
    RAIW_BEST(count_bits(row, words));
}

// Tells of every cell of a row, as bits, whether it is above its high line net of its price, or only
// above its low one; returns the sum of those above the high line, net. Prices and lines are one
// number for all cells, or one each.
template <class T, class Prices, class Lines>
inline double part_row(const T* row, std::size_t n, Prices prices, Lines lows, Lines highs,
                       Word* above, Word* between) {
    RAIW_BEST(part(row, n, prices, lows, highs, above, between));
}

constexpr std::size_t kSlack = 16;  // so many more than are picked may be written

// Writes the chosen cells of a row, net of their prices, and, unless null, their columns; returns
// how many there are.
template <class T, class Prices>
inline std::size_t pick_cells(const T* row, Prices prices, const Word* chosen, std::size_t words,
                              T* values, Vertex* columns = nullptr) {
    RAIW_BEST(pick(row, prices, chosen, words, values, columns));
}

// How many numbers are above a line.
template <class T>
inline std::size_t count_above(const T* values, std::size_t n, T line) {
    RAIW_BEST(count_above(values, n, line));
}

// Writes the numbers above `low` that are not above `high`; returns how many there are.
template <class T>
inline std::size_t pick_between(const T* values, std::size_t n, T low, T high, T* to) {
    RAIW_BEST(pick_between(values, n, low, high, to));
}

// Whether all numbers of a row lie from `low` to `high`.
template <class T>
inline bool all_within(const T* row, std::size_t n, T low, T high) {
    RAIW_BEST(all_within(row, n, low, high));
}

// Tells of every cell of a row, as bits, whether it is above `line` net of the prices of both sides.
template <class T>
inline void find_above(const T* row, std::size_t n, double price, const double* prices, double line,
                       Word* above) {
    RAIW_BEST(find_above(row, n, price, prices, line, above));
}

// Widens the range from `low` to `high` to the numbers of a row; NaN may be missed.
template <class T>
inline void find_range(const T* row, std::size_t n, T* low, T* high) {
    RAIW_BEST(find_range(row, n, low, high));
}

// Adds bytes to two chains of eight sums, of which the second tells their order.
constexpr unsigned kPrint = 16;
inline void add_print(const std::uint8_t* bytes, std::size_t n, Word* sums) {
    RAIW_BEST(add_print(bytes, n, sums));
}

// Turns kBlocks counters of Philox4x32-10 into random words.
inline void mix_blocks(std::uint64_t key, std::uint32_t* c0, std::uint32_t* c1, std::uint32_t* c2,
                       std::uint32_t* c3) {
    RAIW_BEST(mix(key, c0, c1, c2, c3));
}

// Solves blocks side by side (see transposable.hpp); returns how many cells scored -inf are kept.
template <class T>
inline std::int64_t solve_blocks(Scores<T> scores, Bits graph, Vertex row, Vertex column, int count,
                                 const SmallPatterns& patterns, Blocks& blocks) {
    RAIW_BEST(solve_blocks(scores, graph, row, column, count, patterns, blocks));
}

// Adds kCountedTogether rows of bits to the counters of their columns.
inline void count_rows(const Word* rows, std::size_t words, Word* planes) {
    RAIW_BEST(add_rows(rows, words, planes));
}

// Writes the columns whose bits are set, and kSlack more; returns how many there are.
inline std::size_t list_bits(const Word* row, std::size_t words, Vertex* columns) {
    RAIW_BEST(list_bits(row, words, columns));
}

// Tells of those columns that are `among` others whether their key lies from `least` to `most`. Keys
// may be read up to the next multiple of 64.
inline void find_keys(const std::uint32_t* keys, std::size_t n, std::uint32_t least,
                      std::uint32_t most, const Word* among, Word* chosen) {
    RAIW_BEST(find_keys(keys, n, least, most, among, chosen));
}

// Adds numbers to a sum of coarse units and one of fine units; returns whether it was exact.
inline bool add_multiples(const double* values, std::size_t n, Units units, std::int64_t* coarse,
                          std::int64_t* fine) {
    RAIW_BEST(add_multiples(values, n, units, coarse, fine));
}

// How often each column's bit was set over a number of rows.
class ColumnCounts {
public:
    explicit ColumnCounts(std::size_t columns)
        : words_((columns + 63) / 64),
          rows_(kCountedTogether * words_),
          planes_(kPlanes * words_),
          counts_(64 * words_) {}

    void add(const Word* row) {
        std::copy(row, row + words_, rows_.data() + waiting_ * words_);
        if (++waiting_ == kCountedTogether) count();
    }

    const std::vector<std::int32_t>& totals() {
        std::fill(rows_.begin() + static_cast<std::ptrdiff_t>(waiting_ * words_), rows_.end(), 0);
        count();
        flush();
        return counts_;
    }

private:
    void count() {
        count_rows(rows_.data(), words_, planes_.data());
        waiting_ = 0;
        if (++counted_ == kPlanesHold) flush();
    }

    void flush() {
        for (unsigned k = 0; k < kPlanes; ++k)
            for (std::size_t w = 0; w < words_; ++w) {
                Word& plane = planes_[k * words_ + w];
                for (unsigned j = 0; j < 64; ++j)
                    counts_[64 * w + j] += static_cast<std::int32_t>(plane >> j & 1) << k;
                plane = 0;
            }
        counted_ = 0;
    }

    std::size_t words_;
    std::vector<Word> rows_, planes_;
    std::vector<std::int32_t> counts_;
    unsigned waiting_ = 0, counted_ = 0;
};

// The number of connected components of a graph: every vertex is one until an edge joins two of them.
// Once all inputs are joined, the other outputs need only have an edge.
inline std::int64_t count_components(Bits graph) {
    std::vector<Vertex> parents(graph.columns), listed(graph.columns + kSlack);
    for (Vertex v = 0; v < graph.columns; ++v) parents[v] = v;
    const auto root = [&](Vertex v) {
        while (parents[v] != v) v = parents[v] = parents[parents[v]];
        return v;
    };
    std::vector<Word> row;
    std::int64_t inputs = static_cast<std::int64_t>(graph.columns), outputs = 0;
    for (Vertex u = 0; u < graph.rows; ++u) {
        load_row(graph, u, row);
        if (inputs == 1) {
            outputs += count_bits(row.data(), row.size()) == 0;
            continue;
        }
        const std::size_t count = list_bits(row.data(), row.size(), listed.data());
        outputs += count == 0;
        for (std::size_t i = 1; i < count; ++i) {
            const Vertex one = root(listed[0]), other = root(listed[i]);
            parents[std::max(one, other)] = std::min(one, other);
            inputs -= one != other;
        }
    }
    return inputs + outputs;
}

// Counts the edges of every vertex.
inline void count_degrees(Bits graph, std::int64_t* outs, std::int64_t* ins) {
    std::vector<Word> row;
    ColumnCounts counts(graph.columns);
    for (Vertex u = 0; u < graph.rows; ++u) {
        load_row(graph, u, row);
        counts.add(row.data());
        outs[u] = count_bits(row.data(), row.size());
    }
    const std::vector<std::int32_t>& totals = counts.totals();
    for (Vertex v = 0; v < graph.columns; ++v) ins[v] = totals[v];
}

}  // namespace raiw

#undef RAIW_BEST
