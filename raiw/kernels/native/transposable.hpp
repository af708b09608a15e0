// The best pattern with N cells in every row and column of each M × M block, exactly.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>

#include "graph.hpp"

namespace raiw {

// A transportation problem: every row takes its N best columns, then columns that are taken too
// often give rows to others along the cheapest paths, which keeps the pattern optimal for its
// column sums (successive shortest paths). Scores are rounded to integers, the largest of a block
// to 41 bits, so that no sum rounds.
class Transposable {
public:
    static constexpr int kMost = 32;

    Transposable(int m, int n) : m_(m), n_(n) {}

    // Solves the block at (row, column) and adds its cells to the graph.
    template <class T>
    void solve(Scores<T> scores, Bits graph, Vertex row, Vertex column) {
        read(scores, row, column);
        taken_.fill(0);
        for (int j = 0; j < m_; ++j) {
            mean_[j] = 0;
            for (int i = 0; i < m_; ++i) mean_[j] += values_[i][j];
            mean_[j] /= m_;
        }
        for (int i = 0; i < m_; ++i) take_best(i);
        while (shift_one()) {
        }
        for (int i = 0; i < m_; ++i)
            for (int j = 0; j < m_; ++j)
                if (kept_[i] >> j & 1)
                    graph.add(row + static_cast<Vertex>(i), column + static_cast<Vertex>(j));
    }

private:
    using Value = std::int64_t;
    static constexpr int kBits = 40;
    // Worth less than any sum of other scores of a block: the fewest such cells are kept.
    static constexpr Value kForbidden = -(Value{1} << 52);
    static constexpr Value kFar = std::numeric_limits<Value>::max() / 4;
    static constexpr int kLargestShift = 1000;

    template <class T>
    void read(Scores<T> scores, Vertex row, Vertex column) {
        double largest = 0;
        for (int i = 0; i < m_; ++i) {
            const T* cells = scores.row(row + static_cast<Vertex>(i)) + column;
            for (int j = 0; j < m_; ++j)
                if (is_finite(cells[j]))
                    largest = std::max(largest, std::fabs(static_cast<double>(cells[j])));
        }
        int exponent = 0;
        std::frexp(largest, &exponent);
        const int shift = kBits - exponent;
        const double scale = std::ldexp(1.0, std::clamp(shift, -kLargestShift, kLargestShift));
        const double rest = std::ldexp(1.0, shift - std::clamp(shift, -kLargestShift, kLargestShift));
        for (int i = 0; i < m_; ++i) {
            const T* cells = scores.row(row + static_cast<Vertex>(i)) + column;
            for (int j = 0; j < m_; ++j) {
                const double scaled = static_cast<double>(cells[j]) * scale * rest;
                const double rounded = scaled < 0 ? scaled - 0.5 : scaled + 0.5;
                values_[i][j] = is_finite(cells[j]) ? static_cast<Value>(rounded) : kForbidden;
            }
        }
    }

    // Row i takes its best columns by score less the column's mean, the first among equals.
    void take_best(int i) {
        std::array<Value, kMost> reduced;
        for (int j = 0; j < m_; ++j) reduced[j] = values_[i][j] - mean_[j];
        std::uint32_t kept = 0;
        for (int j = 0; j < m_; ++j) {
            int before = 0;
            for (int k = 0; k < j; ++k) before += reduced[k] >= reduced[j];
            for (int k = j + 1; k < m_; ++k) before += reduced[k] > reduced[j];
            kept |= std::uint32_t{before < n_} << j;
            taken_[j] += before < n_;
        }
        kept_[i] = kept;
    }

    // Moves one cell from a column taken too often to one taken too seldom, over other columns
    // where that costs less; returns false where every column is taken N times.
    bool shift_one() {
        bool over = false;
        for (int j = 0; j < m_; ++j) {
            distance_[j] = taken_[j] > n_ ? 0 : kFar;
            before_[j] = -1;
            over |= taken_[j] > n_;
        }
        if (!over) return false;
        find_moves();
        bool changed = true;  // no shortest path is longer than all columns
        for (int round = 0; changed && round < m_; ++round) {
            changed = false;
            for (int j = 0; j < m_; ++j) changed |= relax(j);
        }
        int end = -1;
        for (int j = 0; j < m_; ++j)
            if (taken_[j] < n_ && (end < 0 || distance_[j] < distance_[end])) end = j;
        ++taken_[end];
        while (before_[end] >= 0) {
            const int start = before_[end];
            kept_[row_[start][end]] ^= std::uint32_t{1} << start | std::uint32_t{1} << end;
            end = start;
        }
        --taken_[end];
        return true;
    }

    // The row that loses least by giving up column j for column k, for every such pair.
    void find_moves() {
        for (int j = 0; j < m_; ++j) std::fill_n(cost_[j].begin(), m_, kFar);
        const std::uint32_t all = m_ == kMost ? ~std::uint32_t{0} : (std::uint32_t{1} << m_) - 1;
        for (int i = 0; i < m_; ++i)
            each_bit(kept_[i], 0, [&](Vertex j) {
                each_bit(all & ~kept_[i], 0, [&](Vertex k) {
                    const Value cost = values_[i][j] - values_[i][k];
                    if (cost < cost_[j][k]) {
                        cost_[j][k] = cost;
                        row_[j][k] = static_cast<std::int8_t>(i);
                    }
                });
            });
    }

    bool relax(int j) {
        bool changed = false;
        if (distance_[j] == kFar) return changed;
        for (int k = 0; k < m_; ++k) {
            const Value through = distance_[j] + cost_[j][k];
            if (through < distance_[k]) {
                distance_[k] = through;
                before_[k] = j;
                changed = true;
            }
        }
        return changed;
    }

    template <class T>
    using Block = std::array<std::array<T, kMost>, kMost>;

    int m_, n_;
    Block<Value> values_, cost_;
    Block<std::int8_t> row_;
    std::array<Value, kMost> mean_, distance_;
    std::array<int, kMost> taken_, before_;
    std::array<std::uint32_t, kMost> kept_;
};

// Solves every block of a graph.
template <class T>
void solve_blocks(Scores<T> scores, Bits graph, int m, int n) {
    Transposable block(m, n);
    for (Vertex row = 0; row < graph.rows; row += static_cast<Vertex>(m))
        for (Vertex column = 0; column < graph.columns; column += static_cast<Vertex>(m))
            block.solve(scores, graph, row, column);
}

}  // namespace raiw
