// The best of every row and of every column of the scores net of prices.
#pragma once

#include <algorithm>

#include "graph.hpp"

namespace raiw {

constexpr std::size_t kGlance = 16;  // cells judged at once, most of them to be passed over

// The largest values of one row or column: those above `line` are taken, and all but the best
// `wanted` are dropped whenever the room is full.
class Best {
public:
    static std::size_t room(std::size_t wanted) { return wanted + wanted / 2 + 64; }

    Best(double* values, std::size_t wanted) : values_(values), wanted_(wanted) {}

    void take(double value) {
        values_[count_++] = value;
        if (count_ < room(wanted_)) return;
        std::nth_element(values_, values_ + wanted_ - 1, values_ + count_, std::greater<>());
        line = values_[wanted_ - 1];
        count_ = wanted_;
    }

    // Writes the k-th, (k+1)-th and (k+2)-th largest, ±inf where there is none.
    void rank(std::size_t k, double* above, double* at, double* below) {
        std::sort(values_, values_ + count_, std::greater<>());
        const auto place = [&](std::size_t nth) { return nth <= count_ ? values_[nth - 1] : -kInf; };
        *above = k ? place(k) : kInf;
        *at = place(k + 1);
        *below = place(k + 2);
    }

    double line = -kInf;

private:
    static constexpr double kInf = std::numeric_limits<double>::infinity();
    double* values_;
    std::size_t wanted_, count_ = 0;
};

// Ranks the rows of `scores - prices`; `ranked` is (3, rows).
template <class T>
void rank_rows(Scores<T> scores, const double* prices, std::size_t k, double* ranked) {
    const std::size_t rows = scores.rows, columns = scores.columns;
    std::vector<double> values(Best::room(k + 2));
    for (Vertex u = 0; u < rows; ++u) {
        const T* row = scores.row(u);
        Best best(values.data(), k + 2);
        for (std::size_t start = 0; start < columns; start += kGlance) {
            const std::size_t end = std::min(start + kGlance, columns);
            bool any = false;
            for (std::size_t v = start; v < end; ++v) any |= row[v] - prices[v] > best.line;
            if (!any) continue;
            for (std::size_t v = start; v < end; ++v)
                if (row[v] - prices[v] > best.line) best.take(row[v] - prices[v]);
        }
        best.rank(k, ranked + u, ranked + rows + u, ranked + 2 * rows + u);
    }
}

// Ranks the columns of `scores - prices`, reading by row; `ranked` is (3, columns).
template <class T>
void rank_columns(Scores<T> scores, const double* prices, std::size_t k, double* ranked) {
    const std::size_t columns = scores.columns, room = Best::room(k + 2);
    std::vector<double> values(columns * room), lines(columns);
    std::vector<Best> best;
    for (std::size_t v = 0; v < columns; ++v) {
        best.emplace_back(&values[v * room], k + 2);
        lines[v] = best[v].line;
    }
    for (Vertex u = 0; u < scores.rows; ++u) {
        const T* row = scores.row(u);
        for (std::size_t start = 0; start < columns; start += kGlance) {
            const std::size_t end = std::min(start + kGlance, columns);
            bool any = false;
            for (std::size_t v = start; v < end; ++v) any |= row[v] - prices[u] > lines[v];
            if (!any) continue;
            for (std::size_t v = start; v < end; ++v) {
                if (!(row[v] - prices[u] > lines[v])) continue;
                best[v].take(row[v] - prices[u]);
                lines[v] = best[v].line;
            }
        }
    }
    for (std::size_t v = 0; v < columns; ++v)
        best[v].rank(k, ranked + v, ranked + columns + v, ranked + 2 * columns + v);
}

}  // namespace raiw
