// Of the equally good patterns of a block, the first: that which keeps the first cell in which two
// differ, row by row.
#pragma once

#include <array>
#include <cstdint>

#include "graph.hpp"

namespace raiw {

constexpr int kWidest = 32;  // cells of a block's side, at most

using Mask = std::uint32_t;  // a bit for every column, or row, of a block

// Cells that cost nothing to give up or to take: every equally good pattern is reached along a
// closed walk that gives one up in a row, takes another there, gives one up in that column, and so on.
class Foremost {
public:
    // Tells of row i its cells that cost nothing, and its kept ones.
    void set_row(int i, Mask costless, Mask kept) {
        given_[at(i)] = costless & kept;
        taken_[at(i)] = costless & ~kept;
    }

    // Changes the kept cells of m rows to those of the first pattern.
    void find(int m, Mask* kept) {
        if (!prune(m)) return;
        for (int i = 0; i < m; ++i) {
            for (Mask left = given_[at(i)] | taken_[at(i)]; left && given_[at(i)] && taken_[at(i)];
                 left &= left - 1) {
                const int j = __builtin_ctz(left);
                const Mask bit = Mask{1} << j;
                given_[at(i)] &= ~bit;  // decided
                if (!(taken_[at(i)] & bit)) continue;
                taken_[at(i)] &= ~bit;
                take(m, i, j, kept);
            }
            given_[at(i)] = taken_[at(i)] = 0;
        }
    }

private:
    static std::size_t at(int i) { return static_cast<std::size_t>(i); }

    // Drops the rows and columns that no closed walk visits; returns whether any are left.
    bool prune(int m) {
        for (bool changed = true; changed;) {
            changed = false;
            Mask givers = 0, takers = 0;
            for (int i = 0; i < m; ++i) {
                givers |= given_[at(i)];
                takers |= taken_[at(i)];
            }
            for (int i = 0; i < m; ++i) {
                Mask given = given_[at(i)] & takers, taken = taken_[at(i)] & givers;
                if (!given || !taken) given = taken = 0;
                changed |= given != given_[at(i)] || taken != taken_[at(i)];
                given_[at(i)] = given;
                taken_[at(i)] = taken;
            }
            if (!givers || !takers) return false;
        }
        return true;
    }

    // Lets row i keep column j, where a walk comes back to the row.
    void take(int m, int i, int j, Mask* kept) {
        std::array<std::int8_t, kWidest> row_of, column_of;  // by which each was reached
        Mask columns = Mask{1} << j, fresh = columns, rows = Mask{1} << i;
        while (fresh) {
            const int column = __builtin_ctz(fresh);
            fresh &= fresh - 1;
            for (int r = 0; r < m; ++r) {
                if (rows >> r & 1 || !(given_[at(r)] >> column & 1)) continue;
                rows |= Mask{1} << r;
                column_of[at(r)] = static_cast<std::int8_t>(column);
                const Mask reached = taken_[at(r)] & ~columns;
                columns |= reached;
                fresh |= reached;
                each_bit(reached, 0, [&](Vertex c) { row_of[c] = static_cast<std::int8_t>(r); });
                if (const Mask end = reached & given_[at(i)]) {
                    const int last = __builtin_ctz(end);
                    give(i, last);
                    kept[i] ^= Mask{1} << last | Mask{1} << j;
                    for (int c = last; c != j;) {
                        const int row = row_of[at(c)], before = column_of[at(row)];
                        swap(row, c, before);
                        kept[row] ^= Mask{1} << c | Mask{1} << before;
                        c = before;
                    }
                    return;
                }
            }
        }
    }

    void give(int row, int column) {
        given_[at(row)] &= ~(Mask{1} << column);
        taken_[at(row)] |= Mask{1} << column;
    }
    void swap(int row, int taken, int given) {
        give(row, given);
        taken_[at(row)] &= ~(Mask{1} << taken);
        given_[at(row)] |= Mask{1} << taken;
    }

    std::array<Mask, kWidest> given_, taken_;
};

}  // namespace raiw
