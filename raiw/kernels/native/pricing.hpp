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

    // Calls visit(u, row, columns, count) for the cells of every row that are worth more than `line`.
    template <class Visit>
    void each_above(double line, Visit visit) const {
        std::vector<Word> above((scores.columns + 63) / 64);
        std::vector<Vertex> columns(scores.columns + kSlack);
        for (Vertex u = 0; u < scores.rows; ++u) {
            const T* row = scores.row(u);
            find_above(row, scores.columns, out[u], ins, line, above.data());
            visit(u, row, columns.data(), list_bits(above.data(), above.size(), columns.data()));
        }
    }
};

template <class T>
PricedScores(Scores<T>, const double*, const double*) -> PricedScores<T>;

// The lowest and the highest finite score; zeros where there is none.
template <class T>
struct FiniteRange {
    T low = std::numeric_limits<T>::infinity(), high = -low;

    void widen(const T* row, std::size_t n) {
        T row_low = low, row_high = high;
        find_range(row, n, &row_low, &row_high);
        high = row_high;
        if (row_low >= kLowest<T>)
            low = row_low;
        else
            for (std::size_t v = 0; v < n; ++v)
                low = row[v] >= kLowest<T> && row[v] < low ? row[v] : low;
    }
    double lowest() const { return low <= high ? low : 0; }
    double highest() const { return low <= high ? high : 0; }
};

template <class T>
FiniteRange<T> finite_range(Scores<T> scores) {
    FiniteRange<T> range;
    for (Vertex u = 0; u < scores.rows; ++u) range.widen(scores.row(u), scores.columns);
    return range;
}

// Adds what is above zero to exact sums; returns the highest score of those cells, 0 if none is.
template <class T>
double add_reduced(PricedScores<T> priced, std::int64_t* sums) {
    T highest = 0;
    std::vector<double> values(priced.scores.columns);
    LikeNumbers numbers(sums);
    priced.each_above(0, [&](Vertex u, const T* row, const Vertex* columns, std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) {
            const T score = row[columns[i]];
            values[i] = score - priced.out[u] - priced.ins[columns[i]];
            highest = score > highest ? score : highest;
        }
        numbers.add(values.data(), count);
    });
    return highest;
}

// Adds the edges above `line` to the graph; returns how many it did not have.
template <class T>
std::int64_t mark_above(PricedScores<T> priced, double line, Bits graph) {
    std::int64_t found = 0;
    priced.each_above(line, [&](Vertex u, const T*, const Vertex* columns, std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) {
            found += !graph.has(u, columns[i]);
            graph.add(u, columns[i]);
        }
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

// How many edges have a score; 0 if no other cell has it.
template <class T>
std::int64_t count_tied(Scores<T> scores, Bits graph, T score) {
    std::int64_t tied = 0;
    each_kept(scores, graph, [&](Vertex u, const Vertex* columns, std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) tied += scores(u, columns[i]) == score;
    });
    std::vector<Word> kept, above((scores.columns + 63) / 64), equal(above.size());
    const T after = std::nextafter(score, std::numeric_limits<T>::infinity());
    for (Vertex u = 0; u < scores.rows; ++u) {
        load_row(graph, u, kept);
        split_row(scores.row(u), scores.columns, after, score, above.data(), equal.data());
        for (std::size_t w = 0; w < kept.size(); ++w)
            if (equal[w] & ~kept[w]) return tied;
    }
    return 0;
}

// The flat index of the first cell that is no score (NaN or +inf; -inf too where `finite` is asked),
// -1 if all are; and a print of the bytes, by which a later change of them is noticed.
struct Survey {
    std::int64_t bad = -1;
    Word print = 0;
};

template <class T>
Survey survey(Scores<T> scores, bool finite) {
    const T least = finite ? kLowest<T> : -std::numeric_limits<T>::infinity();
    const T most = std::numeric_limits<T>::max();
    Survey found;
    Word sums[kPrint] = {};
    for (Vertex u = 0; u < scores.rows; ++u) {
        const T* row = scores.row(u);
        const bool good = all_within(row, scores.columns, least, most);
        for (std::size_t v = 0; !good && v < scores.columns; ++v)
            if (!(row[v] >= least && row[v] <= most)) {
                found.bad = static_cast<std::int64_t>(u * scores.columns + v);
                return found;
            }
        add_print(scores.stored_row(u), scores.row_bytes(), sums);
    }
    for (const Word sum : sums) found.print = found.print * 0x9E3779B97F4A7C15u + sum;
    return found;
}

}  // namespace raiw
