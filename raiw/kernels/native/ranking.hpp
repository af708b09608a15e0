// The best of every row and of every column of the scores net of prices.
#pragma once

#include <algorithm>
#include <functional>

#include "rows.hpp"

namespace raiw {

// What is asked of every row, or of every column: its k best cells.
struct Ranking {
    std::size_t k, lines;
    const double* hints;  // where the (k+2)-th best is thought to be, by line
    double* ranked;       // (4, lines): the k-th, (k+1)-th and (k+2)-th best, the sum of the k best
};

// The best cells of one row or column. Those above `line` are taken, and all but the best k + 2
// are dropped whenever the room is full.
class Best {
public:
    static std::size_t room(std::size_t k) { return k + k / 2 + 64; }

    Best(double* values, std::size_t k, double hint) : line(hint), values_(values), k_(k) {}

    void take(double value) {
        values_[count_++] = value;
        if (count_ < room(k_)) return;
        std::nth_element(values_, values_ + k_ + 1, values_ + count_, std::greater<>());
        line = values_[k_ + 1];
        count_ = k_ + 2;
    }

    // Whether the hint hid cells that were needed, as one that is not a number does.
    bool misled() const { return count_ < k_ + 2 && line != -kInf; }

    void forget() {
        count_ = 0;
        line = -kInf;
    }

    void rank(Ranking ranking, std::size_t place) {
        std::sort(values_, values_ + count_, std::greater<>());
        const auto nth = [&](std::size_t n) { return n <= count_ ? values_[n - 1] : -kInf; };
        double sum = 0;
        for (std::size_t n = 1; n <= k_; ++n) sum += nth(n);
        const double found[4] = {k_ ? nth(k_) : kInf, nth(k_ + 1), nth(k_ + 2), sum};
        for (std::size_t i = 0; i < 4; ++i) ranking.ranked[i * ranking.lines + place] = found[i];
    }

    double line;

private:
    static constexpr double kInf = std::numeric_limits<double>::infinity();
    double* values_;
    std::size_t k_, count_ = 0;
};

template <class T>
void take_row(const T* row, std::size_t n, const double* prices, Best& best) {
    for (std::size_t v = 0; (v = skip_row(row, v, n, prices, best.line)) < n;)
        for (const std::size_t end = std::min(v + kGlance, n); v < end; ++v)
            if (row[v] - prices[v] > best.line) best.take(row[v] - prices[v]);
}

// Ranks the rows of `scores - prices`.
template <class T>
void rank_rows(Scores<T> scores, const double* prices, Ranking ranking) {
    std::vector<double> values(Best::room(ranking.k));
    for (Vertex u = 0; u < scores.rows; ++u) {
        Best best(values.data(), ranking.k, ranking.hints[u]);
        take_row(scores.row(u), scores.columns, prices, best);
        if (best.misled()) {
            best.forget();
            take_row(scores.row(u), scores.columns, prices, best);
        }
        best.rank(ranking, u);
    }
}

// Ranks the columns of `scores - prices`, reading by row.
template <class T>
void rank_columns(Scores<T> scores, const double* prices, Ranking ranking) {
    const std::size_t columns = scores.columns, room = Best::room(ranking.k);
    std::vector<double> values(columns * room), lines(ranking.hints, ranking.hints + columns);
    std::vector<Best> best;
    for (std::size_t v = 0; v < columns; ++v)
        best.emplace_back(&values[v * room], ranking.k, lines[v]);
    for (Vertex u = 0; u < scores.rows; ++u) {
        const T* row = scores.row(u);
        const double price = prices[u], *lowest = lines.data();
        for (std::size_t v = 0; (v = skip_row(row, v, columns, price, lowest)) < columns;)
            for (const std::size_t end = std::min(v + kGlance, columns); v < end; ++v) {
                if (!(row[v] - price > lines[v])) continue;
                best[v].take(row[v] - price);
                lines[v] = best[v].line;
            }
    }
    for (Vertex v = 0; v < columns; ++v) {
        if (best[v].misled()) {
            best[v].forget();
            for (Vertex u = 0; u < scores.rows; ++u)
                if (scores(u, v) - prices[u] > best[v].line) best[v].take(scores(u, v) - prices[u]);
        }
        best[v].rank(ranking, v);
    }
}

}  // namespace raiw
