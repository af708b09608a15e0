// Exact sums of kept scores.
#pragma once

#include <cmath>

#include "rows.hpp"

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

// Adds numbers that are mostly of like size, faster: as whole multiples of two units, which are chosen
// by the first of them. Numbers that are none are added one by one.
class LikeNumbers {
public:
    explicit LikeNumbers(std::int64_t* sums) : sums_(sums) {}
    ~LikeNumbers() { flush(); }
    LikeNumbers(const LikeNumbers&) = delete;
    LikeNumbers& operator=(const LikeNumbers&) = delete;

    void add(const double* values, std::size_t count) {
        if (unit_ == 0) choose_unit(values, count);
        std::int64_t coarse = coarse_, fine = fine_;
        if (unit_ > 0 && count <= kMost &&
            add_multiples(values, count, units_, &coarse, &fine)) {
            coarse_ = coarse, fine_ = fine;
            if ((added_ += count) >= kMost) flush();
        } else {
            for (std::size_t i = 0; i < count; ++i) add_exactly(values[i], sums_);
        }
    }

private:
    // A number is less than 2^39 coarse units, and what it leaves no more than 2^31 fine ones: the sums
    // of twice so many do not overflow.
    static constexpr std::size_t kMost = std::size_t{1} << 22;
    static constexpr double kRounding = 0x1.8p52, kFinePerCoarse = 0x1p32;

    // The largest number is less than 2^31 coarse units. Where units would be too small or too large
    // for that, `unit_` is negative.
    void choose_unit(const double* values, std::size_t count) {
        double most = 0;
        for (std::size_t i = 0; i < count; ++i) most = std::max(most, std::fabs(values[i]));
        if (most == 0) return;
        unit_ = -1;
        if (!(most > 0x1p-900 && most < 0x1p900)) return;
        unit_ = std::ldexp(1.0, std::ilogb(most) - 30);
        units_ = {kRounding * unit_, kRounding * (unit_ / kFinePerCoarse), 0x1p39 * unit_};
    }

    void flush() {
        add_units(coarse_, unit_);
        add_units(fine_, unit_ / kFinePerCoarse);
        coarse_ = fine_ = 0;
        added_ = 0;
    }
    void add_units(std::int64_t count, double unit) {
        constexpr std::int64_t kHalf = std::int64_t{1} << 32;
        if (!count) return;
        add_exactly(static_cast<double>(count / kHalf) * (unit * kHalf), sums_);
        add_exactly(static_cast<double>(count % kHalf) * unit, sums_);
    }

    std::int64_t* sums_;
    double unit_ = 0;
    Units units_{};
    std::int64_t coarse_ = 0, fine_ = 0;
    std::size_t added_ = 0;
};

// Calls visit(u, columns, count) for the edges of every output of a graph; their scores are fetched
// while the output before is worked on.
template <class T, class Visit>
void each_kept(Scores<T> scores, Bits graph, Visit visit) {
    std::vector<Word> bits;
    std::vector<Vertex> row(graph.columns + kSlack), next(row.size());
    std::size_t count = 0, next_count = 0;
    const auto fetch = [&](Vertex u) {
        load_row(graph, u, bits);
        next_count = list_bits(bits.data(), bits.size(), next.data());
        for (std::size_t i = 0; i < next_count; ++i) scores.prefetch(u, next[i]);
    };
    fetch(0);
    for (Vertex u = 0; u < graph.rows; ++u) {
        row.swap(next);
        count = next_count;
        if (u + 1 < graph.rows) fetch(u + 1);
        visit(u, row.data(), count);
    }
}

}  // namespace raiw
