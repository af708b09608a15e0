// The k-th best, and the two after it, of every row and of every column of the scores net of prices.
//
// They are looked for in a window, where they are thought to lie: what lies above it is counted and
// summed a row at a time, and only the cells in it are looked at one by one. Where the window misses
// one of the three, its near end stands for it. Everything is as precise as the scores: ranks steer
// a search, and prove nothing.
#pragma once

#include "room.hpp"
#include "selection.hpp"

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
        const std::size_t better = own_.pick(values, count, least, kInf);
        double sum = 0;
        for (std::size_t i = 0; i < better; ++i) sum += static_cast<double>(own_.values[i]);
        const std::size_t taken = above + better;
        return taken < k ? sum + static_cast<double>(k - taken) * static_cast<double>(least) : sum;
    }

private:
    void find_three(std::size_t above, T low, T high, const T* values, std::size_t count,
                    T* found) {
        const std::size_t k = ranking_.k;
        std::size_t before = 0;  // so many of the values come before those put in order
        if (above < k + 2 && count)
            before = own_.select(low, high, values, count, k > above ? k - above : 1, k + 2 - above);
        for (std::size_t i = 0; i < 3; ++i) {
            const std::size_t place = k + i;  // counts from 1
            if (place <= above)
                found[i] = high;
            else
                found[i] = place - above <= count ? own_.values[place - above - before - 1] : low;
        }
    }

    Ranking ranking_;
    Selection<T> own_;
};

// Ranks the rows of `scores - prices`; returns the sum of their k best cells.
template <class T>
double rank_rows(Scores<T> scores, const double* prices, Ranking ranking) {
    const std::size_t n = scores.columns, words = (n + 63) / 64;
    const std::vector<T> own_prices = as_precise_as_scores<T>(prices, n);
    std::vector<Word> above(words), between(words);
    std::vector<T> values(n + kSlack);
    Ranker<T> ranker(ranking);
    double sum = 0;
    for (Vertex u = 0; u < scores.rows; ++u) {
        const T* row = scores.row(u);
        const T low = static_cast<T>(ranking.lows[u]), high = static_cast<T>(ranking.highs[u]);
        sum += part_row(row, n, own_prices.data(), low, high, above.data(), between.data());
        const T* each = own_prices.data();
        const std::size_t count = pick_cells(row, each, between.data(), words, values.data());
        const auto over = static_cast<std::size_t>(count_bits(above.data(), words));
        sum += ranker.rank(u, over, low, high, values.data(), count);
    }
    return sum;
}

// Cells of the windows by row, the columns of each among those ranked together, and cells by column.
template <class T>
struct CellsByColumn {
    Room<T> cells, sorted;
    Room<Vertex> columns;

    static CellsByColumn& own() {
        static thread_local CellsByColumn listed;
        return listed;
    }

    // Keeps what layers of ordinary size need; less with scores of 16 bits, which are short of memory.
    void shrink(bool widened) {
        const std::size_t most = widened ? 1 << 16 : 1 << 22;
        if (cells.size() > most) cells.release(), columns.release();
        if (sorted.size() > most) sorted.release();
    }
};

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
    // Of scores of 16 bits, which are short of memory, the cells of fewer columns are listed at a time.
    static constexpr std::size_t kListedOfWidened = 256;

    double rank() {
        double sum = 0;
        for (std::size_t first = 0; first < scores_.columns; first += kTogether)
            sum += rank(first, std::min(kTogether, scores_.columns - first));
        return sum;
    }

private:
    double rank(std::size_t first, std::size_t n) {
        const std::size_t words = (n + 63) / 64;
        const bool at_once = !scores_.widened();
        const T *lows = lows_.data() + first, *highs = highs_.data() + first;
        std::vector<Word> above(words);
        windows_.resize(at_once ? words : scores_.rows * words);
        ColumnCounts counts(n);
        double sum = 0;
        listed_ = 0;
        for (Vertex u = 0; u < scores_.rows; ++u) {
            const T* row = scores_.row(u, first, n);
            Word* window = &windows_[at_once ? 0 : u * words];
            sum += part_row(row, n, prices_[u], lows, highs, above.data(), window);
            counts.add(above.data());
            if (at_once) list(row, u, window, words);
        }
        const std::int32_t* over = counts.totals().data();
        if (at_once) return rank_listed(sum, first, n, over);
        for (std::size_t v = 0; v < n; v += kListedOfWidened) {
            const std::size_t some = std::min(kListedOfWidened, n - v);
            listed_ = 0;
            for (Vertex u = 0; u < scores_.rows; ++u)
                list(scores_.row(u, first + v, some), u, &windows_[u * words + v / 64],
                     (some + 63) / 64);
            sum = rank_listed(sum, first + v, some, over + v);
        }
        return sum;
    }

    // Lists the cells of a row in the windows of the columns.
    void list(const T* row, Vertex u, const Word* window, std::size_t words) {
        make_room(64 * words + kSlack);
        listed_ += pick_cells(row, prices_[u], window, words, room_.cells.values() + listed_,
                              room_.columns.values() + listed_);
    }

    // Ranks columns whose cells are listed; returns the sum with what they add.
    double rank_listed(double sum, std::size_t first, std::size_t n, const std::int32_t* over) {
        sort_by_column(n);
        for (std::size_t v = 0; v < n; ++v) {
            const std::size_t start = v ? ends_[v - 1] : 0;
            sum += ranker_.rank(first + v, static_cast<std::size_t>(over[v]), lows_[first + v],
                                highs_[first + v], room_.sorted.values() + start, ends_[v] - start);
        }
        return sum;
    }

    void make_room(std::size_t more) {
        const std::size_t size = room_.cells.size();
        if (listed_ + more <= size) return;
        const std::size_t wanted = size + size / 2 + more;
        room_.columns.make(wanted);
        room_.cells.make(wanted);  // last: its size is taken as the size of both
    }

    void sort_by_column(std::size_t n) {
        ends_.assign(n + 1, 0);
        const Vertex* columns = room_.columns.values();
        const T* cells = room_.cells.values();
        for (std::size_t i = 0; i < listed_; ++i) ++ends_[columns[i] + 1];
        for (std::size_t v = 0; v < n; ++v) ends_[v + 1] += ends_[v];
        room_.sorted.make(listed_);
        T* sorted = room_.sorted.values();
        for (std::size_t i = 0; i < listed_; ++i) sorted[ends_[columns[i]]++] = cells[i];
    }

    Scores<T> scores_;
    std::vector<T> prices_, lows_, highs_;
    std::vector<Word> windows_;  // which cells of a row lie in them
    CellsByColumn<T>& room_ = CellsByColumn<T>::own();
    std::size_t listed_ = 0;
    std::vector<std::size_t> ends_;
    Ranker<T> ranker_;
};

template <class T>
double rank_columns(Scores<T> scores, const double* prices, Ranking ranking) {
    const double sum = ColumnRanks<T>(scores, prices, ranking).rank();
    CellsByColumn<T>::own().shrink(scores.widened());
    return sum;
}

}  // namespace raiw
