// The patterns of blocks so small that all are compared.
#pragma once

#include <algorithm>
#include <cstdint>

#include "graph.hpp"

namespace raiw {

constexpr int kSmall = 4;  // side of such a block

// Each pattern is two halves of two rows, which meet in their column sums. Arrays are plain, for
// they are read by code of every instruction set.
struct SmallPatterns {
    static constexpr int kMostRows = 6, kMostMeetings = 19, kMostPairs = 6;
    struct Half {
        int count = 0;
        std::uint8_t upper[kMostPairs], lower[kMostPairs];  // patterns of its rows
    };

    int rows = 0, meetings = 0;
    std::uint8_t cells[kMostRows][kSmall];  // of the patterns of a row, the first pattern first
    Half top[kMostMeetings], bottom[kMostMeetings];
    // What a row's pattern adds to a score for its place in the order; the sum tells all patterns.
    std::uint8_t ranks[kSmall][kMostRows];
    std::uint16_t bits[256];

    explicit SmallPatterns(int n) {
        unsigned masks[kMostRows];
        for (unsigned code = 1u << kSmall; code--;) {  // its highest bit is the first cell
            const unsigned mask = (code >> 3 & 1) | (code >> 1 & 2) | (code << 1 & 4) | (code << 3 & 8);
            if (__builtin_popcount(mask) == n) masks[rows++] = mask;
        }
        for (int p = 0; p < rows; ++p) {
            int count = 0;
            each_bit(masks[p], 0, [&](Vertex j) { cells[p][count++] = static_cast<std::uint8_t>(j); });
            ranks[0][p] = static_cast<std::uint8_t>((rows - 1 - p) * rows * rows);
            ranks[1][p] = static_cast<std::uint8_t>((rows - 1 - p) * rows);
            ranks[2][p] = static_cast<std::uint8_t>(rows - 1 - p);
            ranks[3][p] = 0;
        }
        for (int a = 0; a < rows; ++a)
            for (int b = 0; b < rows; ++b) place(masks, a, b, n);
    }

private:
    // Column sums of two rows, in three bits each.
    static unsigned sums(unsigned a, unsigned b) {
        unsigned both = 0;
        for (int j = 0; j < kSmall; ++j) both |= ((a >> j & 1) + (b >> j & 1)) << 3 * j;
        return both;
    }

    // Adds two rows to the half whose column sums they have, with all rows that can stand below.
    void place(const unsigned* masks, int a, int b, int n) {
        const unsigned whole = static_cast<unsigned>(n) * 01111u, own = sums(masks[a], masks[b]);
        int at = 0;
        while (at < meetings && sums(masks[top[at].upper[0]], masks[top[at].lower[0]]) != own) ++at;
        Half below;
        for (int c = 0; c < rows; ++c)
            for (int d = 0; d < rows; ++d) {
                if (own + sums(masks[c], masks[d]) != whole) continue;
                add(below, c, d);
                bits[ranks[0][a] + ranks[1][b] + ranks[2][c]] = static_cast<std::uint16_t>(
                    masks[a] | masks[b] << 4 | masks[c] << 8 | masks[d] << 12);
            }
        if (!below.count) return;
        meetings = std::max(meetings, at + 1);
        bottom[at] = below;
        add(top[at], a, b);
    }

    static void add(Half& half, int upper, int lower) {
        half.upper[half.count] = static_cast<std::uint8_t>(upper);
        half.lower[half.count++] = static_cast<std::uint8_t>(lower);
    }
};

}  // namespace raiw
