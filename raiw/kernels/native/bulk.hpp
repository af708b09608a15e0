// The bulk of a dense graph: the cells from a score up of which most are surely taken, as bits.
//
// Where a row and a column of an empty graph both have room for all their cells of the bulk, their
// common edge is taken in any order; so whole words of edges are taken at once. The cells of other
// rows and columns are listed.
#pragma once

#include "listing.hpp"

namespace raiw {

template <class T, class Candidate>
class Bulk {
public:
    Bulk(Scores<T> scores, Bits graph, Side& rows, Side& columns)
        : scores_(scores),
          graph_(graph),
          rows_(rows),
          columns_(columns),
          words_((scores.columns + 63) / 64),
          upper_(words_),
          lower_(words_),
          bulk_of_row_(scores.rows) {}

    // Takes what is safe of the cells from `high` up, and lists the others from `low` up. Where less
    // than half of the bulk is safe it takes and lists nothing, and returns false.
    bool take(T high, T low, Listing<Candidate>& listing) {
        ColumnCounts counts(scores_.columns);
        for (Vertex u = 0; u < scores_.rows; ++u) {
            const T* row = scores_.row(u);
            bulk_of_row_[u] =
                split_row(row, scores_.columns, high, low, upper_.data(), lower_.data());
            counts.add(upper_.data());
            store_upper(u);
            listing.add(row, u, lower_.data(), words_);
        }
        if (find_unsafe(counts.totals())) {
            settle(listing);
            return true;
        }
        std::fill(graph_.row(0), graph_.row(0) + graph_.rows * graph_.stride, 0);
        listing.clear();
        return false;
    }

private:
    // Finds the columns without room for all their cells; returns whether most cells lie elsewhere,
    // and in rows with room.
    bool find_unsafe(const std::vector<std::int32_t>& bulk_of_column) {
        std::int64_t all = 0, unsafe = 0;
        unsafe_.assign(words_, 0);
        for (Vertex v = 0; v < scores_.columns; ++v) {
            const bool full = bulk_of_column[v] > columns_.floor;
            unsafe_[v / 64] |= Word{full} << v % 64;
            unsafe += full * bulk_of_column[v];
        }
        for (const std::int64_t bulk : bulk_of_row_) {
            all += bulk;
            unsafe += (bulk > rows_.floor) * bulk;
        }
        return unsafe < all / 2;
    }

    void settle(Listing<Candidate>& listing) {
        ColumnCounts taken(scores_.columns);
        for (Vertex u = 0; u < scores_.rows; ++u) {
            Word listed = 0;
            for (std::size_t w = 0; w < words_; ++w) {
                const Word bulk = load_word(graph_.row(u), graph_.stride, w);
                lower_[w] = bulk_of_row_[u] > rows_.floor ? bulk : bulk & unsafe_[w];
                upper_[w] = bulk & ~lower_[w];
                listed |= lower_[w];
            }
            store_upper(u);
            taken.add(upper_.data());
            rows_.degree[u] = static_cast<std::int32_t>(count_bits(upper_.data(), words_));
            if (listed) listing.add(scores_.row(u), u, lower_.data(), words_);
        }
        const std::vector<std::int32_t>& totals = taken.totals();
        std::copy_n(totals.begin(), scores_.columns, columns_.degree.begin());
    }

    void store_upper(Vertex u) const {
        __builtin_memcpy(graph_.row(u), upper_.data(), graph_.stride);
    }

    Scores<T> scores_;
    Bits graph_;
    Side &rows_, &columns_;
    std::size_t words_;
    std::vector<Word> upper_, lower_;  // of the cells of a row
    std::vector<Word> unsafe_;         // columns
    std::vector<std::int64_t> bulk_of_row_;
};

}  // namespace raiw
