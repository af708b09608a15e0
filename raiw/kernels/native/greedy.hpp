// Algorithm `raiw`, the greedy pass, without sorting all edges.
//
// The cells are handled in waves of falling scores: a wave takes the cells whose score lies in
// [low, done) and whose row and column may still take an edge; all others would be refused. Its
// upper part, the bulk [high, done), is mostly accepted unsorted: where a row and a column both have
// room for all their bulk cells, their common edge would be accepted in any order. The rest is
// sorted and scanned. `low` and `high` are guessed from a sample; a bad guess costs time, never
// correctness. Cells of equal score are taken in the order of the keys of their edges. Where a great
// many share the score below `low`, their keys rule waves as scores do.
#pragma once

#include <cmath>
#include <limits>

#include "candidates.hpp"
#include "rows.hpp"

namespace raiw {

// Scratch memory, kept between the graphs of a thread: fresh pages cost as much as reading scores.
template <class Candidate>
struct Workspace {
    std::vector<Candidate> list, spare;
    std::vector<Word> bulk;

    static Workspace& own() {
        static thread_local Workspace workspace;
        return workspace;
    }
    // Keeps no more than layers of ordinary size need.
    void release() {
        constexpr std::size_t kMostKept = 1 << 22;
        if (list.capacity() > kMostKept) list = {};
        if (spare.capacity() > kMostKept) spare = {};
        if (bulk.capacity() > kMostKept) bulk = {};
    }
};

template <class T, class Candidate>
class Greedy {
public:
    Greedy(Scores<T> scores, Bits graph, std::int64_t edges, EdgeKeys keys)
        : scores_(scores),
          graph_(graph),
          edges_(edges),
          keys_(keys),
          ties_(keys, scores.columns),
          words_((scores.columns + 63) / 64),
          rows_(scores.rows, edges),
          columns_(scores.columns, edges),
          alive_words_(words_),
          bulk_row_(words_),
          band_row_(words_),
          values_(scores.columns + kSlack),
          picked_(scores.columns + kSlack) {}
    ~Greedy() { workspace_.release(); }

    void run() {
        find_alive();
        while (!alive_rows_.empty() && !alive_columns_.empty() && done_ > kLowest<T>) wave();
    }

private:
    struct Thresholds {
        T high, low;
        bool ties;  // many cells score exactly as the next one below `low`
        T tied;
    };

    // The vertices that may take an edge; once they may not, they never may again.
    void find_alive() {
        alive_rows_ = rows_.eligible();
        alive_columns_ = columns_.eligible();
        std::fill(alive_words_.begin(), alive_words_.end(), 0);
        for (const Vertex v : alive_columns_) alive_words_[v / 64] |= Word{1} << v % 64;
    }

    std::int64_t missing() const {
        std::int64_t missing = edges_;
        for (const std::int32_t degree : rows_.degree) missing -= degree;
        return missing;
    }

    void wave() {
        const Thresholds at = choose(missing());
        const Bands<T> bands{at.high, at.low, done_};
        list_.clear();
        collect(bands);
        sort_by_key(list_, spare_);
        ties_.put_in_order(list_);
        take_listed();
        done_ = at.low;
        if (at.ties) {
            find_alive();
            take_ties(at.tied);
            done_ = at.tied;
        }
        find_alive();
    }

    // Visits the list in order. The sides are moved into locals: writes to the graph, being bytes,
    // could otherwise change them for all the compiler knows.
    void take_listed() {
        Side rows = std::move(rows_), columns = std::move(columns_);
        const Bits graph = graph_;
        for (const Candidate& candidate : list_) {
            const Vertex u = candidate.row(), v = candidate.column();
            const bool taken = rows.may_take(u) & columns.may_take(v);
            rows.take(u, taken);
            columns.take(v, taken);
            graph.add(u, v, taken);
        }
        rows_ = std::move(rows);
        columns_ = std::move(columns);
    }

    // Lists the band, accepts the safe edges of the bulk and lists the others.
    void collect(Bands<T> bands) {
        const bool has_bulk = bands.high < bands.done;
        if (has_bulk && bulk_.size() < alive_rows_.size() * words_)
            bulk_.resize(alive_rows_.size() * words_);
        ColumnCounts counts(has_bulk ? scores_.columns : 0);
        bulk_of_row_.assign(alive_rows_.size(), 0);
        for (std::size_t i = 0; i < alive_rows_.size(); ++i) {
            const Vertex u = alive_rows_[i];
            const T* row = scores_.row(u);
            Word* bulk = has_bulk ? &bulk_[i * words_] : bulk_row_.data();
            bulk_of_row_[i] = split_row(row, scores_.columns, bands, alive_words_.data(), bulk,
                                        band_row_.data());
            if (has_bulk) counts.add(bulk);
            list_band(row, u);
        }
        if (has_bulk) settle_bulk(counts.totals());
    }

    void list_band(const T* row, Vertex u) {
        const std::size_t before = list_.size();
        const std::size_t count = pick_cells(row, T{0}, band_row_.data(), words_, values_.data(),
                                             picked_.data());
        list_.resize(before + count);
        for (std::size_t i = 0; i < count; ++i)
            list_[before + i] = Candidate(values_[i], u, picked_[i]);
    }

    void settle_bulk(const std::vector<std::int32_t>& bulk_of_column) {
        const std::size_t listed_before = list_.size();
        std::vector<Word>& unsafe = band_row_;
        std::fill(unsafe.begin(), unsafe.end(), 0);
        std::vector<std::int32_t> accepted(bulk_of_column);
        for (const Vertex v : alive_columns_)
            if (bulk_of_column[v] > columns_.sure_room(v)) {
                unsafe[v / 64] |= Word{1} << v % 64;
                accepted[v] = 0;
            }
        for (std::size_t i = 0; i < alive_rows_.size(); ++i) {
            const Vertex u = alive_rows_[i];
            const bool unsafe_row = bulk_of_row_[i] > rows_.sure_room(u);
            std::int32_t accepted_of_row = static_cast<std::int32_t>(bulk_of_row_[i]);
            for (std::size_t w = 0; w < words_; ++w) {
                const Word bulk = bulk_[i * words_ + w];
                const Word listed = unsafe_row ? bulk : bulk & unsafe[w];
                add_word(u, w, bulk & ~listed);
                each_bit(listed, static_cast<Vertex>(64 * w), [&](Vertex v) {
                    list_.emplace_back(T{0}, u, v);
                    accepted[v] -= !(unsafe[v / 64] >> v % 64 & 1);
                    --accepted_of_row;
                });
            }
            rows_.degree[u] += accepted_of_row;
        }
        for (const Vertex v : alive_columns_) columns_.degree[v] += accepted[v];
        // A loop of its own reads the scores, so that it waits for many of them at a time.
        for (std::size_t k = listed_before; k < list_.size(); ++k) {
            const Vertex u = list_[k].row(), v = list_[k].column();
            list_[k] = Candidate(scores_(u, v), u, v);
        }
    }

    void add_word(Vertex u, std::size_t w, Word edges) {
        std::uint8_t* bytes = graph_.row(u) + 8 * w;
        edges |= load_word(graph_.row(u), graph_.stride, w);
        __builtin_memcpy(bytes, &edges, std::min<std::size_t>(8, graph_.stride - 8 * w));
    }

    // Visits the cells of one score in the order of their keys, in waves of rising keys.
    void take_ties(T tied) {
        constexpr double kAllKeys = 0x1p32;
        std::uint64_t done = 0;
        while (done < std::uint64_t{1} << 32 && !alive_rows_.empty() && !alive_columns_.empty()) {
            list_.clear();
            const double left = (kAllKeys - static_cast<double>(done)) / kAllKeys;
            const double cells = std::max(1.0, left * static_cast<double>(count_ties(tied)));
            const double span = kAllKeys * left * std::min(1.0, enough_for(missing()) / cells);
            const std::uint64_t end = done + static_cast<std::uint64_t>(std::ceil(span));
            each_tie(tied, [&](Vertex u, const Word* cells_of_row) {
                keys_.from(u * scores_.columns, scores_.columns, row_keys_);
                for (std::size_t w = 0; w < words_; ++w)
                    each_bit(cells_of_row[w], static_cast<Vertex>(64 * w), [&](Vertex v) {
                        if (row_keys_[v] >= done && row_keys_[v] < end)
                            list_.push_back(Candidate::keyed(row_keys_[v], u, v));
                    });
            });
            sort_by_key(list_, spare_);
            take_listed();
            find_alive();
            done = end;
        }
    }

    // Calls visit(u, bits) for the rows that may take an edge, with their cells of one score.
    template <class Visit>
    void each_tie(T tied, Visit visit) {
        const T next = std::nextafter(tied, std::numeric_limits<T>::infinity());
        const Bands<T> bands{next, tied, next};
        for (const Vertex u : alive_rows_) {
            split_row(scores_.row(u), scores_.columns, bands, alive_words_.data(), bulk_row_.data(),
                      band_row_.data());
            visit(u, band_row_.data());
        }
    }

    std::int64_t count_ties(T tied) {
        std::int64_t count = 0;
        each_tie(tied, [&](Vertex, const Word* cells) { count += count_bits(cells, words_); });
        return count;
    }

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
    Ties<Candidate> ties_;
    std::vector<std::uint32_t> row_keys_;
    std::size_t words_;
    Side rows_, columns_;
    std::vector<Vertex> alive_rows_, alive_columns_;
    std::vector<Word> alive_words_, bulk_row_, band_row_;
    std::vector<T> values_;  // of the band of a row,
    std::vector<Vertex> picked_;  // and their columns
    std::vector<std::int64_t> bulk_of_row_;
    Workspace<Candidate>& workspace_ = Workspace<Candidate>::own();
    std::vector<Candidate>&list_ = workspace_.list, &spare_ = workspace_.spare;
    std::vector<Word>& bulk_ = workspace_.bulk;
    std::vector<T> sample_;
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
    Thresholds at{done_, kLowest<T>, false, 0};
    const double rows = static_cast<double>(alive_rows_.size());
    const double columns = static_cast<double>(alive_columns_.size());
    const double cells = rows * columns, edges = static_cast<double>(missing);
    if (cells <= kSampleLeast) return at;

    // Degrees of a random graph of this size scatter by `sigma` around the missing mean degree.
    const double sigma =
        std::sqrt(std::max(0.0, 1 - edges / cells) * std::max(rows, columns) / edges);
    const double wanted = (1 + kBelow * sigma) * edges;
    const double hits = 256 + 8 * edges / std::max(rows, columns);
    const double looked = static_cast<double>(sample(static_cast<std::size_t>(
        std::clamp(hits * cells / wanted, kSampleLeast, kSampleMost))));
    const auto rank = [&](double count) {
        return static_cast<std::size_t>(std::max(0.0, count * looked / cells));
    };
    const auto nth = [&](std::size_t n) {
        std::nth_element(sample_.begin(), sample_.begin() + static_cast<std::ptrdiff_t>(n),
                         sample_.end(), std::greater<T>());
        return sample_[n];
    };
    if (rank(wanted) < sample_.size()) {
        at.low = nth(rank(wanted));
        const auto equal = std::count(sample_.begin(), sample_.end(), at.low);
        if (static_cast<double>(equal) * cells / looked > edges / 4 + kSampleLeast) {
            at.tied = at.low;
            at.ties = true;
            at.low = std::nextafter(at.tied, std::numeric_limits<T>::infinity());
        }
    }
    const double safe = (1 - kAbove * sigma) * edges;
    if (safe > 0 && rank(safe) < sample_.size()) at.high = std::max(at.low, nth(rank(safe)));
    return at;
}

// Runs the pass with the smallest candidates that hold its scores and vertices.
template <class T>
void place_greedily(Scores<T> scores, Bits graph, std::int64_t edges, std::uint64_t key) {
    if constexpr (sizeof(T) == sizeof(float))
        if (std::max(graph.rows, graph.columns) <= Narrow::kMostVertices)
            return Greedy<T, Narrow>(scores, graph, edges, EdgeKeys(key)).run();
    Greedy<T, Wide>(scores, graph, edges, EdgeKeys(key)).run();
}

}  // namespace raiw
