// The k-th best, and the two after it, of every row and of every column of the scores net of prices.
//
// They are looked for in a window, where they are thought to lie: what lies above it is counted and
// summed a row at a time, and only the cells in it are looked at one by one. Where the window misses
// one of the three, its near end stands for it. Everything is as precise as the scores: ranks steer
// a search, and prove nothing.
#pragma once

#include <algorithm>
#include <functional>

#include "rows.hpp"

namespace raiw {

// What is asked of every row, or of every column.
struct Ranking {
    std::size_t k, lines;
    const double *lows, *highs;  // the window of every line
    double* ranked;              // (3, lines): the k-th, (k+1)-th and (k+2)-th best
};

template <class T>
std::vector<T> as_precise_as_scores(const double* numbers, std::size_t count) {
    std::vector<T> own(count);
    for (std::size_t i = 0; i < count; ++i) own[i] = static_cast<T>(numbers[i]);
    return own;
}

// Ranks one line after the other.
template <class T>
class Ranker {
public:
    explicit Ranker(const Ranking& ranking) : ranking_(ranking) {}

    // Ranks the line at `place`, of which `above` cells lie over the window from `low` to `high`
    // and `values` in it. Returns by how much the k best are worth more than those over the window.
    double rank(std::size_t place, std::size_t above, T low, T high, const T* values,
                std::size_t count) {
        constexpr T kInf = std::numeric_limits<T>::infinity();
        const std::size_t k = ranking_.k;
        T found[3];
        find_three(above, low, high, values, count, found);
        for (std::size_t i = 0; i < 3; ++i)
            ranking_.ranked[i * ranking_.lines + place] = k || i ? found[i] : kInf;
        if (above >= k)
            return above > k ? -static_cast<double>(above - k) * static_cast<double>(high) : 0;
        // Summed in the order of the cells: how the standard library ranks them is its own affair.
        const T least = found[0];
        double sum = 0;
        std::size_t taken = above;
        for (std::size_t i = 0; i < count; ++i)
            if (values[i] > least) sum += static_cast<double>(values[i]), ++taken;
        return taken < k ? sum + static_cast<double>(k - taken) * static_cast<double>(least) : sum;
    }

private:
    void find_three(std::size_t above, T low, T high, const T* values, std::size_t count,
                    T* found) {
        const std::size_t k = ranking_.k;
        std::size_t before = 0;  // so many of the values come before those put in order
        if (above < k + 2 && count) before = put_in_order(values, count, k + 2 - above);
        for (std::size_t i = 0; i < 3; ++i) {
            const std::size_t place = k + i;  // counts from 1
            if (place <= above)
                found[i] = high;
            else
                found[i] = place - above <= count ? own_[place - above - before - 1] : low;
        }
    }

    // Sorts the `last`-th best value and the two before it, and few others: values fall into bins of
    // equal width, and those of the bins where the three lie are sorted. Returns how many values
    // come before them.
    std::size_t put_in_order(const T* values, std::size_t count, std::size_t last) {
        constexpr std::size_t kFew = 16, kBins = 64;
        T least = values[0], most = least;
        for (std::size_t i = 1; i < count; ++i) {
            least = values[i] < least ? values[i] : least;
            most = values[i] > most ? values[i] : most;
        }
        const T scale = static_cast<T>(kBins) / (most - least);
        own_.clear();
        if (count <= kFew || !(scale > 0 && scale <= std::numeric_limits<T>::max())) {
            own_.assign(values, values + count);
            std::sort(own_.begin(), own_.end(), std::greater<>());
            return 0;
        }
        bins_.resize(count);
        for (std::size_t i = 0; i < count; ++i) {
            const auto bin = static_cast<std::int32_t>((values[i] - least) * scale);
            bins_[i] = static_cast<std::uint8_t>(std::min<std::int32_t>(bin, kBins - 1));
        }
        std::uint32_t sizes[kBins] = {};
        for (std::size_t i = 0; i < count; ++i) ++sizes[bins_[i]];
        const std::size_t end = std::min(last, count), start = last > 2 ? last - 2 : 1;
        std::size_t before = 0, first = kBins - 1;
        while (first && before + sizes[first] < std::min(start, count)) before += sizes[first--];
        std::size_t until = before + sizes[first], lowest = first;
        while (lowest && until < end) until += sizes[--lowest];
        for (std::size_t i = 0; i < count; ++i)
            if (bins_[i] >= lowest && bins_[i] <= first) own_.push_back(values[i]);
        std::sort(own_.begin(), own_.end(), std::greater<>());
        return before;
    }

    std::vector<std::uint8_t> bins_;
    Ranking ranking_;
    std::vector<T> own_;
};

// Ranks the rows of `scores - prices`; returns the sum of their k best cells.
template <class T>
double rank_rows(Scores<T> scores, const double* prices, Ranking ranking) {
    const std::size_t n = scores.columns, words = (n + 63) / 64;
    const std::vector<T> own_prices = as_precise_as_scores<T>(prices, n);
    std::vector<Word> above(words), between(words);
    std::vector<T> values(n);
    Ranker<T> ranker(ranking);
    double sum = 0;
    for (Vertex u = 0; u < scores.rows; ++u) {
        const T* row = scores.row(u);
        const T low = static_cast<T>(ranking.lows[u]), high = static_cast<T>(ranking.highs[u]);
        sum += part_row(row, n, own_prices.data(), low, high, above.data(), between.data());
        std::size_t count = 0;
        for (std::size_t w = 0; w < words; ++w)
            each_bit(between[w], static_cast<Vertex>(64 * w),
                     [&](Vertex v) { values[count++] = row[v] - own_prices[v]; });
        const auto over = static_cast<std::size_t>(count_bits(above.data(), words));
        sum += ranker.rank(u, over, low, high, values.data(), count);
    }
    return sum;
}

// Ranks the columns of `scores - prices`, reading by row; returns the sum of their k best cells.
template <class T>
class ColumnRanks {
public:
    ColumnRanks(Scores<T> scores, const double* prices, const Ranking& ranking)
        : scores_(scores),
          prices_(as_precise_as_scores<T>(prices, scores.rows)),
          lows_(as_precise_as_scores<T>(ranking.lows, scores.columns)),
          highs_(as_precise_as_scores<T>(ranking.highs, scores.columns)),
          ranker_(ranking) {}

    // The lines of so many columns stay in the first cache.
    static constexpr std::size_t kTogether = 2048;

    double rank() {
        double sum = 0;
        for (std::size_t first = 0; first < scores_.columns; first += kTogether)
            sum += rank(first, std::min(kTogether, scores_.columns - first));
        return sum;
    }

private:
    struct Cell {
        Vertex column;  // of those ranked together
        T value;
    };

    double rank(std::size_t first, std::size_t n) {
        const std::size_t words = (n + 63) / 64;
        std::vector<Word> above(words), between(words);
        const T *lows = lows_.data() + first, *highs = highs_.data() + first;
        ColumnCounts counts(n);
        double sum = 0;
        listed_.clear();
        for (Vertex u = 0; u < scores_.rows; ++u) {
            const T *row = scores_.row(u) + first, price = prices_[u];
            sum += part_row(row, n, price, lows, highs, above.data(), between.data());
            counts.add(above.data());
            for (std::size_t w = 0; w < words; ++w)
                each_bit(between[w], static_cast<Vertex>(64 * w),
                         [&](Vertex v) { listed_.push_back({v, row[v] - price}); });
        }
        sort_by_column(n);
        const std::vector<std::int32_t>& over = counts.totals();
        for (std::size_t v = 0; v < n; ++v) {
            const std::size_t start = v ? ends_[v - 1] : 0;
            sum += ranker_.rank(first + v, static_cast<std::size_t>(over[v]), lows[v], highs[v],
                                values_.data() + start, ends_[v] - start);
        }
        return sum;
    }

    void sort_by_column(std::size_t n) {
        ends_.assign(n + 1, 0);
        for (const Cell& cell : listed_) ++ends_[cell.column + 1];
        for (std::size_t v = 0; v < n; ++v) ends_[v + 1] += ends_[v];
        values_.resize(listed_.size());
        for (const Cell& cell : listed_) values_[ends_[cell.column]++] = cell.value;
    }

    Scores<T> scores_;
    std::vector<T> prices_, lows_, highs_, values_;
    std::vector<Cell> listed_;
    std::vector<std::size_t> ends_;
    Ranker<T> ranker_;
};

template <class T>
double rank_columns(Scores<T> scores, const double* prices, Ranking ranking) {
    return ColumnRanks<T>(scores, prices, ranking).rank();
}

}  // namespace raiw
