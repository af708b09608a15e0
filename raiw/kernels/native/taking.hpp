// The visit of candidate edges by falling scores, in which an edge is taken if both its vertices may.
//
// Few have to be sorted. Candidates are parted into buckets of falling scores. Of a bucket those of
// full vertices are dropped, and those are taken, in any order, whose vertices both have room for all
// that is left of them in the bucket. Only the others are sorted.
#pragma once

#include "candidates.hpp"
#include "graph.hpp"

namespace raiw {

template <class Candidate>
class Taking {
public:
    Taking(Bits graph, std::int64_t edges, EdgeKeys keys)
        : rows(graph.rows, edges),
          columns(graph.columns, edges),
          graph_(graph),
          ties_(keys, graph.columns) {}

    // Visits candidates that stand by flat index; those of a key up to `first` are one bucket. The
    // list and `spare`, as long, are scratch space afterwards.
    void by_score(Candidate* list, std::size_t count, Candidate* spare, std::uint64_t first = 0) {
        KeyRange keys(list, count);
        keys.least = std::max(keys.least, std::min(first, keys.most));
        unsigned width = 0;
        while (width < std::min(kMostDigitBits, keys.bits()) && count >> width > kBucket) ++width;
        claimed_rows_.assign(rows.degree.begin(), rows.degree.end());
        claimed_columns_.assign(columns.degree.begin(), columns.degree.end());
        if (!width) return take_bucket(list, count, spare);
        std::vector<std::size_t> ends(std::size_t{1} << width);
        move_by_digit(list, count, spare, keys.least, keys.bits() - width, ends);
        std::size_t start = 0;
        for (const std::size_t end : ends) {
            take_bucket(spare + start, end - start, list + start);
            start = end;
        }
    }

    // Visits candidates in their order. The sides are moved into locals: writes to the graph, being
    // bytes, could otherwise change them for all the compiler knows.
    void in_order(const Candidate* list, std::size_t count) {
        Side own_rows = std::move(rows), own_columns = std::move(columns);
        const Bits graph = graph_;
        for (std::size_t i = 0; i < count; ++i) {
            const Vertex u = list[i].row(), v = list[i].column();
            const bool taken = own_rows.may_take(u) & own_columns.may_take(v);
            own_rows.take(u, taken);
            own_columns.take(v, taken);
            graph.add(u, v, taken);
        }
        rows = std::move(own_rows);
        columns = std::move(own_columns);
    }

    Side rows, columns;

private:
    static constexpr std::size_t kBucket = 4096;

    void take_bucket(Candidate* bucket, std::size_t count, Candidate* scratch) {
        count = take_safe(bucket, drop_full(bucket, count));
        if (count > kBucket && KeyRange(bucket, count).bits())
            return by_score(bucket, count, scratch);
        sort_by_key(bucket, count, scratch);
        ties_.put_in_order(bucket, count);
        in_order(bucket, count);
        for (std::size_t i = 0; i < count; ++i) {
            const Vertex u = bucket[i].row(), v = bucket[i].column();
            claimed_rows_[u] = rows.degree[u];
            claimed_columns_[v] = columns.degree[v];
        }
    }

    // Moves those forward whose vertices may take an edge, which are then claimed; returns how many
    // there are.
    std::size_t drop_full(Candidate* bucket, std::size_t count) {
        std::size_t open = 0;
        for (std::size_t i = 0; i < count; ++i) {
            const Candidate candidate = bucket[i];
            const Vertex u = candidate.row(), v = candidate.column();
            const bool may = rows.may_take(u) & columns.may_take(v);
            bucket[open] = candidate;
            open += may;
            claimed_rows_[u] += may;
            claimed_columns_[v] += may;
        }
        return open;
    }

    // Takes those for which there is room whatever the order, without tokens, and moves the others
    // forward; returns how many these are.
    std::size_t take_safe(Candidate* bucket, std::size_t count) {
        const std::int32_t *claimed_rows = claimed_rows_.data(),
                           *claimed_columns = claimed_columns_.data();
        std::int32_t *row_degrees = rows.degree.data(), *column_degrees = columns.degree.data();
        const std::int64_t row_floor = rows.floor, column_floor = columns.floor;
        const Bits graph = graph_;
        std::size_t unsafe = 0;
        for (std::size_t i = 0; i < count; ++i) {
            const Candidate candidate = bucket[i];
            const Vertex u = candidate.row(), v = candidate.column();
            const bool safe =
                (claimed_rows[u] <= row_floor) & (claimed_columns[v] <= column_floor);
            bucket[unsafe] = candidate;
            unsafe += !safe;
            row_degrees[u] += safe;
            column_degrees[v] += safe;
            graph.add(u, v, safe);
        }
        return unsafe;
    }

    Bits graph_;
    Ties<Candidate> ties_;
    std::vector<std::int32_t> claimed_rows_, claimed_columns_;  // degrees, and open candidates
};

}  // namespace raiw
