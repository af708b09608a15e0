// Passes over the scores net of the prices of both sides.
#pragma once

#include <algorithm>

#include "rows.hpp"
#include "sums.hpp"

namespace raiw {

template <class T>
struct PricedScores {
    Scores<T> scores;
    const double *out, *ins;

    // Calls visit(u, v, value) for the cells worth more than `line`, row by row.
    template <class Visit>
    void each_above(double line, Visit visit) const {
        const std::size_t columns = scores.columns;
        std::vector<Word> above((columns + 63) / 64);
        for (Vertex u = 0; u < scores.rows; ++u) {
            const T* row = scores.row(u);
            const double price = out[u];
            find_above(row, columns, price, ins, line, above.data());
            for (std::size_t w = 0; w < above.size(); ++w)
                each_bit(above[w], static_cast<Vertex>(64 * w),
                         [&](Vertex v) { visit(u, v, row[v] - price - ins[v]); });
        }
    }
};

template <class T>
PricedScores(Scores<T>, const double*, const double*) -> PricedScores<T>;

// Adds what is above zero to exact sums.
template <class T>
void add_reduced(PricedScores<T> priced, std::int64_t* sums) {
    priced.each_above(0, [&](Vertex, Vertex, double value) { add_exactly(value, sums); });
}

// Adds the edges above `line` to the graph; returns how many it did not have.
template <class T>
std::int64_t mark_above(PricedScores<T> priced, double line, Bits graph) {
    std::int64_t found = 0;
    priced.each_above(line, [&](Vertex u, Vertex v, double) {
        found += !graph.has(u, v);
        graph.add(u, v);
    });
    return found;
}

// Adds the edges that reach the line of their row net of the column's price, or that of their
// column net of the row's.
template <class T>
void mark_best(PricedScores<T> priced, const double* out_lines, const double* in_lines,
               Bits graph) {
    for (Vertex u = 0; u < graph.rows; ++u) {
        const T* row = priced.scores.row(u);
        for (Vertex v = 0; v < graph.columns; ++v)
            if ((row[v] - priced.ins[v] >= out_lines[u] || row[v] - priced.out[u] >= in_lines[v]) &&
                row[v] >= kLowest<T>)
                graph.add(u, v);
    }
}

// The lowest and the highest finite score; zeros where there is none.
template <class T>
void finite_range(Scores<T> scores, double* lowest, double* highest) {
    T low = std::numeric_limits<T>::infinity(), high = -low;
    for (Vertex u = 0; u < scores.rows; ++u) {
        const T* row = scores.row(u);
        for (std::size_t v = 0; v < scores.columns; ++v) {
            low = row[v] >= kLowest<T> && row[v] < low ? row[v] : low;
            high = row[v] > high ? row[v] : high;
        }
    }
    *lowest = low <= high ? low : 0;
    *highest = low <= high ? high : 0;
}

// The flat index of the first cell that is no score (NaN or +inf; -inf too where `finite` is
// asked), -1 if all are.
template <class T>
std::int64_t find_bad(Scores<T> scores, bool finite) {
    const T least = finite ? kLowest<T> : -std::numeric_limits<T>::infinity();
    const T most = std::numeric_limits<T>::max();
    for (Vertex u = 0; u < scores.rows; ++u) {
        const T* row = scores.row(u);
        unsigned good = 1;
        for (std::size_t v = 0; v < scores.columns; ++v) good &= (row[v] >= least) & (row[v] <= most);
        for (std::size_t v = 0; !good && v < scores.columns; ++v)
            if (!(row[v] >= least && row[v] <= most))
                return static_cast<std::int64_t>(u * scores.columns + v);
    }
    return -1;
}

}  // namespace raiw
