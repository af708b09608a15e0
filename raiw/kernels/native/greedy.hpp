// Algorithm `raiw`, the greedy pass, without sorting all edges.
//
// The cells are handled in waves of falling scores: a wave lists the cells whose score lies in
// [low, done) and whose row and column may still take an edge, for all others would be refused, and
// visits them. `low` is guessed from a sample, as is `high`, above which the first wave likely takes
// most cells; a bad guess costs time, never correctness. Cells of equal score are taken in the order
// of the keys of their edges. Where a great many share the score below `low`, their keys rule waves
// as scores do.
#pragma once

#include <cmath>
#include <limits>

#include "bulk.hpp"
#include "selection.hpp"
#include "taking.hpp"

namespace raiw {

template <class T, class Candidate>
class Greedy {
public:
    Greedy(Scores<T> scores, Bits graph, std::int64_t edges, EdgeKeys keys, double* floors)
        : scores_(scores),
          graph_(graph),
          edges_(edges),
          keys_(keys),
          floors_(floors),
          taking_(graph, edges, keys),
          alive_words_((scores.columns + 63) / 64),
          above_(alive_words_.size()),
          ties_(alive_words_.size()),
          found_(scores.columns + kSlack) {}
    // Keeps what layers of ordinary size need; less with scores of 16 bits, which are short of memory.
    ~Greedy() { listing_.keep(scores_.widened() ? 1 << 16 : 1 << 22); }

    void run() {
        std::fill(floors_, floors_ + scores_.rows, std::numeric_limits<double>::infinity());
        find_alive();
        while (!alive_rows_.empty() && !alive_columns_.empty() && done_ > kLowest<T>) wave();
    }

private:
    struct Thresholds {
        T high, low;
        bool dense;  // a bulk of the cells lies above `high`
        bool ties;   // many cells score exactly as the next one below `low`
        T tied;
    };

    // The vertices that may take an edge; once they may not, they never may again.
    void find_alive() {
        alive_rows_ = taking_.rows.eligible();
        alive_columns_ = taking_.columns.eligible();
        std::fill(alive_words_.begin(), alive_words_.end(), 0);
        for (const Vertex v : alive_columns_) alive_words_[v / 64] |= Word{1} << v % 64;
    }

    // Notes that the rows which may take an edge take none below a score.
    void lower_floors(T score) {
        for (const Vertex u : alive_rows_) floors_[u] = static_cast<double>(score);
    }

    std::int64_t missing() const {
        std::int64_t missing = edges_;
        for (const std::int32_t degree : taking_.rows.degree) missing -= degree;
        return missing;
    }

    void wave() {
        Thresholds at = choose(missing());
        listing_.clear();
        Bulk<T, Candidate> bulk(scores_, graph_, taking_.rows, taking_.columns);
        if (at.dense && !bulk.take(at.high, at.low, listing_)) {
            even_ = false;
            at = choose(missing());
        }
        if (!at.dense)
            each_within(at.low, done_, [&](Vertex u, const T* row, std::size_t count) {
                listing_.add(row, u, found_.data(), count);
            });
        lower_floors(at.low);
        taking_.by_score(listing_.candidates(), listing_.count(), listing_.spare(),
                         at.dense || at.high >= done_ ? 0 : Candidate(at.high, 0, 0).key());
        done_ = at.low;
        if (at.ties) {
            find_alive();
            lower_floors(at.tied);
            take_ties(at.tied);
            done_ = at.tied;
        }
        find_alive();
    }

    // Calls visit(u, row, count) for the rows that may take an edge, with how many columns were found
    // that may as well, for a score from `low` up to, not including, `done`.
    template <class Visit>
    void each_within(T low, T done, Visit visit) {
        for (std::size_t i = 0; i < alive_rows_.size(); ++i) {
            const Vertex u = alive_rows_[i];
            const Vertex next = alive_rows_[std::min(i + 1, alive_rows_.size() - 1)];
            const T* row = scores_.row(u);
            visit(u, row, find_within(row, scores_.columns, low, done, alive_words_.data(),
                                      found_.data(), scores_.stored_row(next), scores_.cell_bytes()));
        }
    }

    // Visits the cells of one score in the order of their keys, in waves of rising keys.
    void take_ties(T tied) {
        constexpr double kAllKeys = 0x1p32;
        std::uint64_t done = 0;
        while (done < std::uint64_t{1} << 32 && !alive_rows_.empty() && !alive_columns_.empty()) {
            listing_.clear();
            const double left = (kAllKeys - static_cast<double>(done)) / kAllKeys;
            const double cells = std::max(1.0, left * static_cast<double>(count_ties(tied)));
            const double span = kAllKeys * left * std::min(1.0, enough_for(missing()) / cells);
            const std::uint64_t end = done + static_cast<std::uint64_t>(std::ceil(span));
            for (const Vertex u : alive_rows_)
                list_ties(tied, u, static_cast<std::uint32_t>(done),
                          static_cast<std::uint32_t>(end - 1));
            sort_by_key(listing_.candidates(), listing_.count(), listing_.spare());
            taking_.in_order(listing_.candidates(), listing_.count());
            find_alive();
            done = end;
        }
    }

    // Lists the cells of a row that have a score, and a key in a range.
    void list_ties(T tied, Vertex u, std::uint32_t least, std::uint32_t most) {
        find_ties(tied, u);
        keys_.from(u * scores_.columns, scores_.columns, row_keys_);
        find_keys(row_keys_.data(), scores_.columns, least, most, ties_.data(), ties_.data());
        const std::size_t count = list_bits(ties_.data(), ties_.size(), found_.data());
        Candidate* to = listing_.room_for(count);
        for (std::size_t i = 0; i < count; ++i)
            to[i] = Candidate::keyed(row_keys_[found_[i]], u, found_[i]);
        listing_.grow(count);
    }

    // Finds the alive cells of a row that have a score.
    void find_ties(T tied, Vertex u) {
        split_row(scores_.row(u), scores_.columns, after(tied), tied, above_.data(), ties_.data());
        for (std::size_t w = 0; w < ties_.size(); ++w) ties_[w] &= alive_words_[w];
    }

    std::int64_t count_ties(T tied) {
        std::int64_t count = 0;
        for (const Vertex u : alive_rows_) {
            find_ties(tied, u);
            count += count_bits(ties_.data(), ties_.size());
        }
        return count;
    }

    static T after(T score) { return std::nextafter(score, std::numeric_limits<T>::infinity()); }

    // So many cells in random order will likely fill the graph, or a good part of what is missing.
    double enough_for(std::int64_t missing) const {
        const double longer = static_cast<double>(std::max(alive_rows_.size(), alive_columns_.size()));
        const double edges = static_cast<double>(missing);
        return edges + 2.5 * std::sqrt(edges * longer) + 4096;
    }

    // Guesses the thresholds of the next wave for `missing` edges.
    Thresholds choose(std::int64_t missing);
    std::size_t sample(std::size_t wanted);

    Scores<T> scores_;
    Bits graph_;
    std::int64_t edges_;
    EdgeKeys keys_;
    double* floors_;  // of every row, a score that none of its edges is below
    Taking<Candidate> taking_;
    std::vector<Vertex> alive_rows_, alive_columns_;
    std::vector<Word> alive_words_, above_, ties_;
    std::vector<Vertex> found_;  // columns of a row
    std::vector<std::uint32_t> row_keys_;
    Listing<Candidate>& listing_ = Listing<Candidate>::own();
    std::vector<T> sample_;
    Selection<T> sorted_;
    bool even_ = true;  // for all that is known, no vertex has far more high scores than others
    T done_ = std::numeric_limits<T>::infinity();
};

// Samples scores of alive cells below `done`: runs of neighbours, at places that are scattered but
// always the same. Returns how many cells were looked at.
template <class T, class Candidate>
std::size_t Greedy<T, Candidate>::sample(std::size_t wanted) {
    constexpr std::size_t kRun = 16;
    const std::size_t run = std::min(kRun, alive_columns_.size());
    std::uint64_t state = 0;
    sample_.clear();
    for (std::size_t looked = 0; looked < wanted; looked += run) {
        state = (state + 0x9E3779B97F4A7C15u) * 0xBF58476D1CE4E5B9u;
        const std::uint64_t bits = state ^ state >> 29;
        const Vertex u = alive_rows_[(bits >> 32) * alive_rows_.size() >> 32];
        const std::size_t starts = alive_columns_.size() - run + 1;
        const Vertex* columns = &alive_columns_[(bits & 0xFFFFFFFF) * starts >> 32];
        for (std::size_t j = 0; j < run; ++j) {
            const T score = scores_(u, columns[j]);
            if (score < done_ && score >= kLowest<T>) sample_.push_back(score);
        }
    }
    return (wanted + run - 1) / run * run;
}

template <class T, class Candidate>
typename Greedy<T, Candidate>::Thresholds Greedy<T, Candidate>::choose(std::int64_t missing) {
    constexpr double kAbove = 2.5, kBelow = 2.5;
    constexpr double kSampleLeast = 1 << 12, kSampleMost = 1 << 16;
    constexpr double kDense = 0.125, kListed = 1 << 20;
    constexpr double kRead = 48;  // cells are read in the time in which one is listed and visited
    Thresholds at{done_, kLowest<T>, false, false, 0};
    const double rows = static_cast<double>(alive_rows_.size());
    const double columns = static_cast<double>(alive_columns_.size());
    const double cells = rows * columns, edges = static_cast<double>(missing);
    if (cells <= kSampleLeast) return at;

    // Degrees of a random graph of this size scatter by `sigma` around the missing mean degree.
    const double sigma =
        std::sqrt(std::max(0.0, 1 - edges / cells) * std::max(rows, columns) / edges);
    const double safe = (1 - kAbove * sigma) * edges;
    const bool first = done_ == std::numeric_limits<T>::infinity() && even_ && safe > 0;
    at.dense = first && safe > kDense * cells;
    double wanted = (1 + kBelow * sigma) * edges;
    if (!at.dense) {
        wanted = std::max(wanted, rows * static_cast<double>(scores_.columns) / kRead);
        wanted = std::min(wanted, scores_.widened() ? std::max(kListed / 16, cells / 64)
                                                    : std::max(kListed, cells / 8));
    }
    const double hits = 256 + (first ? 8 * edges / std::max(rows, columns) : 0);
    const double looked = static_cast<double>(sample(static_cast<std::size_t>(
        std::clamp(hits * cells / wanted, kSampleLeast, kSampleMost))));
    const auto rank = [&](double count) {
        return static_cast<std::size_t>(std::max(0.0, count * looked / cells));
    };
    const auto nth = [&](std::size_t n) {
        constexpr T kInf = std::numeric_limits<T>::infinity();
        const std::size_t before =
            sorted_.select(-kInf, kInf, sample_.data(), sample_.size(), n + 1, n + 1);
        return sorted_.values[n - before];
    };
    if (rank(wanted) < sample_.size()) {
        at.low = nth(rank(wanted));
        const auto equal = std::count(sample_.begin(), sample_.end(), at.low);
        if (static_cast<double>(equal) * cells / looked > edges / 4 + kSampleLeast) {
            at.tied = at.low;
            at.ties = true;
            at.low = after(at.tied);
        }
    }
    if (first && rank(safe) < sample_.size()) at.high = std::max(at.low, nth(rank(safe)));
    return at;
}

// Runs the pass with the smallest candidates that hold its scores and vertices.
template <class T>
void place_greedily(Scores<T> scores, Bits graph, std::int64_t edges, std::uint64_t key,
                    double* floors) {
    if constexpr (sizeof(T) == sizeof(float))
        if (std::max(graph.rows, graph.columns) <= Narrow::kMostVertices)
            return Greedy<T, Narrow>(scores, graph, edges, EdgeKeys(key), floors).run();
    Greedy<T, Wide>(scores, graph, edges, EdgeKeys(key), floors).run();
}

}  // namespace raiw
